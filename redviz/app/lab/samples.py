"""What the policy wrote before and after training, side by side: the same request and the same random numbers."""

from __future__ import annotations

import streamlit as st

from redviz.app.lab.state import Experiment, line_name
from redviz.app.parts.kept import kept_choice
from redviz.lab.steps import Sample
from redviz.view.markdown import plain

ALL = "One response to every request"


@st.fragment
def samples(found: Experiment) -> None:
    """Draw them."""
    ready = [run for run in found.runs if run.evaluation("before") is not None]
    if not ready:
        st.caption("The texts before training come first; those after it when a line is done.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        lines = list(dict.fromkeys(run.config.label for run in ready))
        line = kept_choice("Token rewards", "lab.samples.line", lines, width=220, format_func=line_name)
        seeds = [run.config.seed for run in ready if run.config.label == line]
        seed = kept_choice("Seed", "lab.samples.seed", seeds, width=100)
        run = next(run for run in ready if run.config.label == line and run.config.seed == seed)
        before, after = run.evaluation("before"), run.evaluation("after")
        assert before is not None
        prompts = list(dict.fromkeys(sample.prompt for sample in before.samples))
        request = kept_choice("Request", "lab.samples.request", [ALL, *prompts], width=320)
    wanted = [i for i, sample in enumerate(before.samples) if sample.prompt == request]
    if request == ALL:
        wanted = [next(i for i, sample in enumerate(before.samples) if sample.prompt == prompt) for prompt in prompts]
    left, right = st.columns(2)
    left.markdown(f"**Before training**: reward {before.reward:+.2f} ± {before.reward_error:.2f}, KL {before.kl:.1f}")
    if after is None:
        right.markdown("**After training**: they come when this line is done.")
    else:
        right.markdown(
            f"**After {after.step} steps**: reward {after.reward:+.2f} ± {after.reward_error:.2f}, KL {after.kl:.1f}"
        )
    for index in wanted:
        with st.container(border=True):
            st.caption(plain(before.samples[index].prompt))
            left, right = st.columns(2)
            with left:
                _text("before", before.samples[index])
            with right:
                if after is not None and index < len(after.samples):
                    _text("after", after.samples[index])
                else:
                    st.caption("…")
    st.caption(
        "± is the standard error of the mean over all responses to held-out requests. KL is that of the whole response."
    )


def _text(when: str, sample: Sample) -> None:
    st.markdown(plain(sample.response) or "*nothing: the turn was ended at once*")
    st.caption(f"{when}: reward {sample.score:+.2f} · KL {sample.kl:.1f} · {sample.tokens} tokens")
