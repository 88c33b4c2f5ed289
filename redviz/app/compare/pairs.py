"""Responses under a model that scores pairs: margins in both orders and a ranking, and no strips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from redviz.app.compare.pick import short
from redviz.app.parts.calls import compare_calls
from redviz.app.parts.kept import kept_choice
from redviz.app.parts.waiting import result_of
from redviz.app.worker import LONG
from redviz.data.results.rows import without_formulas
from redviz.models.kinds.pair_scores import CAUTION, PairScores, PairWords
from redviz.models.spec import ModelSpec
from redviz.records import Example
from redviz.view.markdown import plain
from redviz.view.marks import flat

if TYPE_CHECKING:
    from redviz.app.worker import Job
    from redviz.models.kinds.pair_scorer import PairScorer

TITLE, WORDS = "Comparing the pairs", "Leaving out words"
TALL = 15  # rows before a table scrolls
SIGNED = st.column_config.NumberColumn(format="%+.4f")


def pairs_part(examples: Sequence[Example], names: Sequence[str], spec: ModelSpec) -> None:
    """Draw it."""
    st.info(CAUTION)
    key = tuple((example.prompt, example.response) for example in examples)
    scores: PairScores | None = result_of(spec, TITLE, key, partial(_compare, examples))
    if scores is None:
        return
    for notice in scores.notices:
        st.warning(plain(notice))
    st.markdown("**Ranking, by the mean margin over the others**")
    ranked = pd.DataFrame(
        {
            "rank": range(1, len(names) + 1),
            "response": [names[i] for i in scores.ranking],
            "mean margin": scores.mean_margins[list(scores.ranking)],
            "text": [short(scores.responses[i]) for i in scores.ranking],
        }
    )
    st.dataframe(ranked, hide_index=True, column_config={"mean margin": SIGNED}, key="redviz.compare.ranking")
    st.markdown("**Every pair, in both orders**")
    frame = scores.to_frame()
    shown = pd.DataFrame(
        {
            "pair": [f"{names[i]} over {names[j]}" for i, j in scores.pairs],
            "margin": frame.margin,
            "P(preferred)": 100 * frame.probability,
            "shown first": frame.shown_first,
            "shown second": frame.shown_second,
            "the order changes it by": frame.order_effect,
        }
    )
    columns = dict.fromkeys(("margin", "shown first", "shown second", "the order changes it by"), SIGNED)
    percent = st.column_config.NumberColumn(format="%.1f %%", help="The sigmoid of the margin")
    st.dataframe(shown, hide_index=True, column_config={**columns, "P(preferred)": percent}, key="redviz.compare.pairs")
    st.caption(
        "All margins are those of the response named first: as the model reads it first, as it reads it second, and the mean of both."
    )
    if remark := scores.order_remark(names):
        st.warning(plain(remark))
    _words(scores, names, spec)
    table = without_formulas(
        frame.assign(first=[names[i] for i in frame["first"]], second=[names[j] for j in frame["second"]])
    )
    st.download_button("Pairs (CSV)", table.to_csv(index=False), "redviz-pairs.csv", "text/csv")
    compare_calls(spec, examples, {}).show()


def _words(scores: PairScores, names: Sequence[str], spec: ModelSpec) -> None:
    """What each word of two responses adds to the margin: two runs of the model for each, so on request."""
    pairs = scores.pairs
    told = [f"{names[i]} over {names[j]}" for i, j in pairs]
    at = 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(pairs) > 1:
            name = f"compare.words.{len(names)}"
            at = kept_choice("Words of", name, list(range(len(pairs))), format_func=told.__getitem__, width=150)
        key = (scores.prompt, scores.responses, pairs[at])
        wanted = f"redviz.compare.words.{hash(repr(key))}"
        if st.button("What does each word add?", help="Every word of both is left out once, in both orders"):
            st.session_state[wanted] = True
    if not st.session_state.get(wanted):
        return
    work = partial(_occluded, scores, pairs[at])
    words: PairWords | None = result_of(spec, WORDS, key, work, priority=LONG, subject=scores.prompt)
    if words is None:
        return
    frame = pd.DataFrame(
        {
            "response": [names[row.response] for row in words.largest],
            "word": [flat(row.text) for row in words.largest],
            "adds": [row.value for row in words.largest],
        }
    )
    st.markdown(f"**What each word adds to the margin of {plain(told[at])}**")
    st.dataframe(
        frame,
        hide_index=True,
        height=35 * min(TALL, len(frame)) + 38,
        column_config={"adds": SIGNED},
        key="redviz.compare.words",
    )
    st.caption("The margin less the margin without the word, on average over both orders; these promise no sum.")


def _occluded(found: PairScores, pair: tuple[int, int], model: PairScorer, job: Job) -> PairWords:
    return model.words(found, *pair, job.progress)


def _compare(examples: Sequence[Example], model: PairScorer, job: Job) -> PairScores:
    return model.scores(examples[0].prompt, [example.response for example in examples], job.progress)
