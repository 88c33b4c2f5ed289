"""A comparison for a person: scores and margins, where the responses part, the spans with the largest shares, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from redviz.cli.terminal import column, numbers, shown, table

if TYPE_CHECKING:
    from redviz.comparison import Comparison
    from redviz.credit.from_records.margin import Share, Shares
    from redviz.credit.from_records.two_models import ModelComparison

KINDS = {"end": "(end)", "shared": "(shared beginning)", "reference": "(reference)", "residual": "(residual)"}


def comparison_text(comparison: Comparison, names: Sequence[str], granularity: str, top: int) -> str:
    """The responses in rows, then a table of shares for each method and each margin over another response."""
    source = comparison.analyses[0].source
    blocks = [f"{source.model}  {source.dtype} on {source.device}", _responses(comparison, names)]
    blocks += filter(None, [comparison.length_remark])
    blocks += [_shares(shares, names, top) for shares in comparison.all_shares(granularity)]
    blocks += [
        f"{shown(label)}: this method promises no sum, so its credits are no shares of a margin."
        for label, credit in comparison.analyses[0].credits.items()
        if credit.residual is None
    ]
    notices = [
        f"note on {name}: {notice}"
        for name, analysis in zip(names, comparison.analyses, strict=True)
        for notice in analysis.notices
    ]
    return "\n\n".join([*blocks, *(["\n".join(notices)] if notices else [])])


def _responses(comparison: Comparison, names: Sequence[str]) -> str:
    """A row for each response; margins and probabilities are those of the first over it."""
    others = range(1, len(names))
    parts = [
        f"token {part.token + 1}, {shown(analysis.response[part.character :][:20]) if analysis.response[part.character :] else '(its end)'}"
        for analysis, part in zip(comparison.analyses, comparison.parts, strict=True)
    ]
    return table(
        [
            column("response", names),
            column("tokens", [str(len(analysis.tokens)) for analysis in comparison.analyses], right=True),
            column("score", numbers([analysis.score for analysis in comparison.analyses]), right=True),
            column(f"margin of {names[0]}", ["", *numbers([comparison.margin(0, j) for j in others])], right=True),
            column("probability", ["", *(f"{comparison.probability(0, j):.3f}" for j in others)], right=True),
            column("parts at", parts),
        ]
    )


def _shares(shares: Shares, names: Sequence[str], top: int) -> str:
    """The largest shares, what the others add together, and the sum."""
    shown_rows = shares.largest[: top or None]
    rest = shares.largest[len(shown_rows) :]
    values = [row.value for row in shown_rows]
    texts = [_text(row) for row in shown_rows]
    whose = ["" if row.response is None else names[row.response] for row in shown_rows]
    if rest:
        values.append(sum(row.value for row in rest))
        texts.append(f"({len(rest)} more)")
        whose.append("")
    one, two = (names[i] for i in (shares.first, shares.second))
    head = f"{shown(shares.label)}: what makes the margin of {one} over {two}"
    body = table(
        [
            column("response", whose),
            column(shares.granularity, texts),
            column("share", numbers(values), right=True),
        ]
    )
    return "\n".join([head, body, _sum(shares, one, two), *(f"note: {remark}" for remark in shares.remarks)])


def _sum(shares: Shares, one: str, two: str) -> str:
    terms = {
        f"spans of {one}": shares.total(response=shares.first),
        f"spans of {two}": shares.total(response=shares.second),
        **{
            KINDS[kind].strip("()"): shares.total(kind)
            for kind in ("shared", "reference", "residual")
            if shares.total(kind)
        },
    }
    *parts, margin = numbers([*terms.values(), shares.margin])
    return " + ".join(f"{name} {value}" for name, value in zip(terms, parts, strict=True)) + f" = margin {margin}"


def _text(row: Share) -> str:
    return shown(row.text) if row.kind == "span" else KINDS[row.kind]


def models_text(comparison: ModelComparison, granularity: str) -> str:
    """Both models in rows, then a row for each span that ends at a token's end under both."""
    spans = comparison.spans(granularity)
    models = [analysis.source for analysis in comparison.analyses]
    head = table(
        [
            column("", ["a", "b"]),
            column("model", [shown(source.model) for source in models]),
            column("tokens", [str(len(analysis.tokens)) for analysis in comparison.analyses], right=True),
            column("base", numbers([analysis.base for analysis in comparison.analyses]), right=True),
            column("score", numbers([analysis.score for analysis in comparison.analyses]), right=True),
        ]
    )
    columns = [column(granularity, [shown(span.text) if span.kind == "span" else KINDS[span.kind] for span in spans])]
    for at, name in enumerate("ab"):
        columns.append(column(f"P_t {name}", numbers([span.prefix_scores[at] for span in spans]), right=True))
    for label in comparison.analyses[0].credits:
        for at, name in enumerate("ab"):
            values = numbers([span.credits[label][at] for span in spans])
            columns.append(column(f"{shown(label)} {name}", values, right=True))
    notices = [
        f"note on {name}: {notice}"
        for name, analysis in zip("ab", comparison.analyses, strict=True)
        for notice in analysis.notices
    ]
    return "\n\n".join([head, table(columns), *(["\n".join(notices)] if notices else [])])
