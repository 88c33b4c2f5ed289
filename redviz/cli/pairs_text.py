"""A comparison by a model that scores pairs, for a person: every pair in both orders, then the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redviz.cli.terminal import column, numbers, shown, table

if TYPE_CHECKING:
    from redviz.models.kinds.pair_scores import PairScores, PairWords


def pairs_text(scores: PairScores, names: Sequence[str], top: int) -> str:
    """The pairs in rows, the better placed response first; the responses by mean margin; the words, where they were asked for."""
    from redviz.models.kinds.pair_scores import CAUTION

    pairs = scores.pairs
    margins = [
        [float(values[i, j]) for i, j in pairs]
        for values in (scores.margins, scores.shown_first, scores.shown_second, scores.order_effects)
    ]
    told = numbers(value for column_values in margins for value in column_values)  # one precision for all
    heads = ("margin", "shown first", "shown second", "the order changes it by")
    columns = [column(head, told[at * len(pairs) : (at + 1) * len(pairs)], right=True) for at, head in enumerate(heads)]
    probability = column("probability", [f"{scores.probability(i, j):.3f}" for i, j in pairs], right=True)
    every = table(
        [column("pair", [f"{names[i]} over {names[j]}" for i, j in pairs]), columns[0], probability, *columns[1:]]
    )
    ranking = table(
        [
            column("rank", [str(rank) for rank in range(1, len(names) + 1)], right=True),
            column("response", [names[i] for i in scores.ranking]),
            column("mean margin", numbers(scores.mean_margins[list(scores.ranking)]), right=True),
            column("text", [shown(scores.responses[i][:60]) for i in scores.ranking]),
        ]
    )
    source = scores.source
    remarks = [*filter(None, [scores.order_remark(names)]), *(f"note: {notice}" for notice in scores.notices)]
    return "\n\n".join(
        [
            f"{shown(source.model)}  {source.dtype} on {source.device}",
            CAUTION,
            every,
            ranking,
            *(_words(words, names, top) for words in scores.words),
            *(["\n".join(remarks)] if remarks else []),
        ]
    )


def _words(words: PairWords, names: Sequence[str], top: int) -> str:
    """The words that change a margin most."""
    rows = words.largest[: top or None]
    head = f"occlusion: what each word adds to the margin of {names[words.first]} over {names[words.second]}"
    columns = [
        column("response", [names[row.response] for row in rows]),
        column("word", [shown(row.text) for row in rows]),
        column("adds", numbers(row.value for row in rows), right=True),
    ]
    more = len(words.rows) - len(rows)
    return "\n".join([head, table(columns), *([f"({more} more)"] if more else [])])
