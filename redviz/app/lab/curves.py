"""The part "Curves": the open experiment while it learns and afterwards, with its buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from redviz.app.lab.downloads import downloads
from redviz.app.lab.form import NAMES
from redviz.app.lab.samples import samples
from redviz.app.lab.state import (
    EVERY,
    PART,
    PARTS,
    QUEUE,
    Experiment,
    go_on,
    line_name,
    opened,
    problem,
    show_part,
    tried,
)
from redviz.app.parts.kept import kept, once, recall
from redviz.app.session import theme
from redviz.lab.config import LabConfig
from redviz.lab.queue import Standing
from redviz.text import duration
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.app.lab.figures import Curve
    from redviz.view.colour import Theme

COLOURS = {
    "done": "green", "running": "blue", "loading": "blue", "elsewhere": "blue", "waiting": "gray", "paused": "orange",
    "failed": "red", "interrupted": "orange", "stopped": "orange", "stopping": "orange",
}  # fmt: skip
REWARD = ("reward", "Reward: mean score of a step's responses", False)
SMALL = (
    ("kl", "KL to the reference, per response (nats)", False),
    ("length", "Length (tokens)", False),
    ("entropy", "Entropy of the next token (nats)", False),
    ("gradient_variance", "Variance of the gradient (log scale)", True),
)
FINER = {
    "group": "group", "max_new_tokens": "longest response", "gamma": "γ", "lam": "λ", "clip": "clip", "epochs": "passes",
    "kl_estimator": "KL estimator", "device": "device", "policy": "policy", "reward_model": "reward model",
}  # fmt: skip
FIGURE = {"displayModeBar": False}
SMOOTH = "lab.smooth"


def curves_part() -> None:
    """Draw it."""
    experiment = opened()
    if experiment is None:
        _empty()
        return
    st.fragment(_live, run_every=EVERY if experiment.moving else None)(experiment.id, experiment.moving)
    st.subheader("Before and after")
    samples(experiment)
    downloads(experiment)


def _empty() -> None:
    with st.container(border=True):
        st.markdown(
            "**No experiment yet.** Press the button and then **Start**: two lines, RED and the sparse reward, learn from "
            "the same requests with the same random numbers. You will see their curves grow, and how the texts change."
        )
        st.button("Set up an experiment", type="primary", on_click=show_part, args=(PARTS[0],))


def _live(experiment: str, moving: bool) -> None:
    """State, curves and table. A fragment: it alone is drawn again while something runs."""
    running = opened()
    if running is None or running.id != experiment or running.moving != moving or recall(PART) != PARTS[1]:
        st.rerun()  # another experiment, another part, or one that ended: the page needs another timer
    with_samples = sum(len(run.evaluations or {}) for run in running.runs)
    if recall("lab.samples.there", (experiment, with_samples)) != (experiment, with_samples):
        st.session_state["redviz.lab.samples.there"] = (experiment, with_samples)
        st.rerun()  # the texts below are outside of this fragment
    st.session_state["redviz.lab.samples.there"] = (experiment, with_samples)
    _head(running)
    _figures(running)
    _table(running)


def _head(experiment: Experiment) -> None:
    config, state = experiment.configs[0], experiment.state
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{NAMES[config.algorithm]}**: {plain(', '.join(map(line_name, experiment.lines)))}", width="content"
            )
            st.badge(state, color=COLOURS.get(state, "gray"))  # type: ignore[arg-type]
            st.caption(plain(settings_line(experiment)), width="stretch")
        st.progress(min(1.0, experiment.done / max(1, experiment.total)), text=progress_line(experiment))
        with st.container(horizontal=True, vertical_alignment="center"):
            _buttons(experiment)
        errors = {run.error for run in experiment.runs if run.error}
        for said in sorted(errors | ({problem()} if problem() else set())):
            st.error(plain(said))


def _buttons(experiment: Experiment) -> None:
    configs, key = experiment.configs, f"redviz.lab.{experiment.id}"
    if any(run.active for run in experiment.runs):
        if any(run.state == "paused" for run in experiment.runs):
            st.button(
                "Resume", key=f"{key}.resume", icon=":material/play_arrow:", on_click=QUEUE.resume, args=(configs,)
            )
        else:
            st.button(
                "Pause", key=f"{key}.pause", icon=":material/pause:", on_click=QUEUE.pause, args=(configs,),
                disabled=experiment.state == "stopping",
            )  # fmt: skip
        st.button(
            "Stop", key=f"{key}.stop", icon=":material/stop:", on_click=QUEUE.stop, args=(configs,),
            disabled=experiment.state == "stopping",
        )  # fmt: skip
    elif experiment.state == "elsewhere":
        st.caption("Another process works on it, such as redviz lab in a terminal; stop it there.")
    elif experiment.state != "done":
        st.button(
            "Resume",
            key=f"{key}.go",
            icon=":material/play_arrow:",
            on_click=tried,
            args=(go_on, experiment),
            type="primary",
        )
        st.caption("It goes on from the last kept step.")


def settings_line(found: Experiment) -> str:
    """What the experiment's runs share, in a line."""
    config = found.configs[0]
    seeds = len({each.seed for each in found.configs})
    parts = [
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}",
        f"{config.steps} steps",
        f"batch {config.batch}",
        f"KL coefficient {config.kl_coef:g}",
        f"learning rate {config.learning_rate:g}",
    ]
    usual = LabConfig()
    parts += [
        f"{words} {getattr(config, name)}"
        for name, words in FINER.items()
        if getattr(config, name) != getattr(usual, name)
    ]
    return " · ".join([*parts, *(["own requests"] if config.prompts != usual.prompts else [])])


def progress_line(experiment: Experiment) -> str:
    """Steps done, the rate, and an estimate of what is left."""
    seconds = [step.seconds for run in experiment.runs for step in run.steps]
    parts = [f"{experiment.done} of {experiment.total} steps"]
    running = next((run for run in experiment.runs if run.state in ("running", "loading", "paused", "stopping")), None)
    if seconds:
        recent = [step.seconds for step in running.steps[-5:]] if running and running.steps else seconds
        parts.append(f"{len(recent) / sum(recent):.2g} steps/s")
    left = experiment.seconds_left()
    if experiment.state in ("running", "loading") and left:
        parts.append(f"about {duration(left)} left, an estimate from the steps so far")
    if running is not None and experiment.moving:
        parts.append(f"now {plain(line_name(running.config.label))}, seed {running.config.seed}: {_doing(running)}")
    return " · ".join(parts)


def _doing(run: Standing) -> str:
    if run.state == "loading":
        return "loading the models"
    if not run.steps and run.evaluation("before") is None:
        return "texts before"
    if len(run.steps) >= run.config.steps:
        return "texts after"
    return f"step {min(len(run.steps) + 1, run.config.steps)} of {run.config.steps}"


def _figures(experiment: Experiment) -> None:
    if not experiment.done:
        st.caption("The first points come when the models are loaded and the texts before training are drawn.")
        return
    smooth, ground = int(recall(SMOOTH, 1)), theme()
    there = tuple(
        (run.config.id, len(run.steps), run.steps[-1].seconds if run.steps else 0.0) for run in experiment.runs
    )
    made = once("lab.figures", (there, smooth, ground.name), lambda: _made(experiment, smooth, ground))
    _place(st, experiment, REWARD[0], made)
    for pair in (SMALL[:2], SMALL[2:]):
        for column, (field, _, _) in zip(st.columns(2), pair, strict=True):
            _place(column, experiment, field, made)
    with st.container(horizontal=True, vertical_alignment="center"):
        kept(
            st.segmented_control, "Smooth", SMOOTH, 1, [1, 3, 5, 10], format_func=lambda n: "off" if n == 1 else f"{n} steps",
            required=True, label_visibility="visible",
        )  # fmt: skip
        st.caption(
            "A line is the mean over the seeds that have come so far, its band goes from the lowest to the highest seed where two came. "
            "The dotted line is the reward on held-out requests before training.",
            width="stretch",
        )


def _place(place: Any, found: Experiment, field: str, made: Mapping[str, tuple[Any, str]]) -> None:
    figure, words = made[field]
    key = f"redviz.lab.figure.{found.id}.{field}"
    place.plotly_chart(figure, theme=None, config=FIGURE, key=key, alt=words)


def _made(experiment: Experiment, smooth: int, ground: Theme) -> dict[str, tuple[Any, str]]:
    """The figures by their fields, and what they say in words; made again only where there is a new step."""
    from redviz.app.lab.figures import curve, curves_figure

    runs = {label: [run.steps for run in own] for label, own in experiment.lines.items()}
    shown: dict[str, Any] = {"names": {label: line_name(label) for label in runs}, "theme": ground}
    made: dict[str, tuple[Any, str]] = {}
    for field, title, logarithmic in (REWARD, *SMALL):
        told = {label: curve(own, field, smooth) for label, own in runs.items()}
        more: dict[str, Any] = (
            {"start": _before(experiment), "legend": True, "height": 340} if field == REWARD[0] else {}
        )
        figure = curves_figure(told, experiment.configs[0].steps, title, logarithmic=logarithmic, **shown, **more)
        made[field] = (figure, _spoken(title, told))
    return made


def _spoken(title: str, told: Mapping[str, Curve]) -> str:
    """The last points in words."""
    ends = [
        f"{line_name(label)} {one.mean[-1]:.3g} at step {len(one.mean)}" for label, one in told.items() if len(one.mean)
    ]
    return f"{title}. {'; '.join(ends)}."


def _before(found: Experiment) -> float | None:
    values = [one.reward for run in found.runs if (one := run.evaluation("before")) is not None]
    return float(np.mean(values)) if values else None


def _table(experiment: Experiment) -> None:
    """Every line on the held-out requests, before and after; means over seeds, with the lowest and the highest seed."""
    rows = []
    for label, runs in experiment.lines.items():
        after = [one for run in runs if (one := run.evaluation("after")) is not None]
        before = [one for run in runs if (one := run.evaluation("before")) is not None]
        seconds = [step.seconds for run in runs for step in run.steps]
        rows.append(
            {
                "Token rewards": line_name(label),
                "Seeds done": f"{len(after)} of {len(runs)}",
                "Reward before": _told([one.reward for one in before[:1]]),
                "Reward after": _told([one.reward for one in after]),
                "KL after": _told([one.kl for one in after]),
                "Length after": _told([one.length for one in after]),
                "Entropy after": _told([one.entropy for one in after]),
                "s per step": f"{np.mean(seconds):.2f}" if seconds else "–",
            }
        )
    st.markdown(
        "**On held-out requests**, the same 8 for every run, 8 responses to each; mean (lowest to highest seed)"
    )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"redviz.lab.table.{experiment.id}")


def _told(values: list[float]) -> str:
    if not values:
        return "–"
    band = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{band}"
