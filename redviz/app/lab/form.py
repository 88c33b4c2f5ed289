"""The part "New experiment": what to train, and what it may cost."""

from __future__ import annotations

from typing import Any

import streamlit as st

from redviz import settings
from redviz.app.demonstration import check_length
from redviz.app.lab.state import (
    POLICY,
    REWARD_MODEL,
    experiments,
    limits,
    line_name,
    open_experiment,
    problem,
    start,
    tried,
)
from redviz.app.parts.kept import keep, kept, kept_choice, recall
from redviz.app.session import allowed, offered, remembered
from redviz.errors import RedvizError
from redviz.lab.config import ALGORITHMS, CLIPPED, ESTIMATORS, METHODS, LabConfig
from redviz.lab.experiments import planned
from redviz.lab.requests import REQUESTS
from redviz.text import duration
from redviz.view.markdown import plain

NAMES = {"reinforce": "REINFORCE", "rloo": "RLOO", "grpo": "GRPO", "ppo": "PPO"}
WORDS = {
    "reinforce": "REINFORCE takes the return to go less its running mean over earlier steps.",
    "rloo": "RLOO takes the return to go less the mean of the other responses to the same request.",
    "grpo": "GRPO takes it less the mean of the group, divided by the group's standard deviation, with a clipped ratio.",
    "ppo": "PPO takes generalised advantage estimation with a learned critic and a clipped ratio.",
}
REWARDS = {
    "sparse": "the whole score on the last token",
    "uniform": "the same share on every token",
    "red": "what each token changes the score by",
    "abc": "shares by the reward model's attention",
    "ig": "integrated gradients; several times slower",
    "random": "random shares, a control",
}
BETAS, CHOSEN, PROMPTS = "lab.betas", "lab.rewards", "lab.prompts"
STEPS, SEEDS, BATCH, RATE = 20, 2, 32, 1e-3  # defaults: a line moves visibly in one or two minutes of one core
MICRO_BATCHES = 4


def form_part() -> None:
    """Draw it."""
    if not allowed(REWARD_MODEL):
        st.error(f"This server does not offer {REWARD_MODEL}, which the lab trains against; run redviz lab yourself.")
        return
    st.markdown(
        f"A small language model (`{POLICY}`) learns to write what a reward model (`{REWARD_MODEL}`) likes. "
        "Each way of giving the reward to tokens is a line. Press **Start**: the curves of reward, KL, length, entropy "
        "and gradient variance grow while it learns, and its texts before and after stand side by side."
    )
    algorithm, methods, betas = _what()
    told, seeds = _numbers(algorithm)
    try:
        check_length(*told["prompts"])
        rewards = _rewards(methods, betas)
        configs = planned(LabConfig(algorithm=algorithm, **told), rewards, seeds)
    except RedvizError as error:
        st.error(plain(error))
        return
    _begin(configs, len(rewards))


def _what() -> tuple[str, list[str], str]:
    """The algorithm, the token rewards, and RED's beta_c as typed."""
    chosen = remembered(
        "Algorithm", "lab.algorithm", ("rloo", *(a for a in ALGORITHMS if a != "rloo")), format_func=NAMES.get
    )
    st.caption(WORDS[chosen])
    left, right = st.columns([3, 1], vertical_alignment="top")
    with left:
        methods = kept(
            st.pills, "Token rewards, a line each", CHOSEN, ["red", "sparse"], METHODS, selection_mode="multi",
            format_func=line_name, wrap=True,
        )  # fmt: skip
        st.caption(
            " · ".join(f"{line_name(m)}: {REWARDS[m]}" for m in METHODS if m in methods) or "Choose at least one."
        )
    with right:
        betas = kept(
            st.text_input, "β_c of RED", BETAS, "1", disabled="red" not in methods,
            help="From 0 (all of it on the last token) to 1; several, such as 0.5, 1, give a line each.",
        )  # fmt: skip
    return chosen, [method for method in METHODS if method in methods], betas


def _rewards(methods: list[str], betas: str) -> list[tuple[str, dict[str, Any]]]:
    """The token rewards with their options, in their order."""
    found: list[tuple[str, dict[str, Any]]] = []
    for method in methods:
        told = [{} if beta == 1 else {"beta_c": beta} for beta in betas_of(betas)] if method == "red" else [{}]
        found += [(method, options) for options in told]
    return found


def betas_of(text: str) -> list[float]:
    """The numbers of a list such as "0.5, 1".

    >>> betas_of("1, 0.5; 1")
    [1.0, 0.5]
    """
    try:
        found = [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or not all(0 <= beta <= 1 for beta in found):
        raise RedvizError(f"β_c is {text[:40]!r}; give numbers from 0 to 1, separated by commas.")
    return list(dict.fromkeys(found))


def _numbers(algorithm: str) -> tuple[dict[str, Any], int]:
    """Every other field of the config, and how many seeds."""
    most = limits()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seeds = _whole("Seeds", "lab.seeds", SEEDS, 1, most.seeds, "Runs of each line; the band is over them.")
        steps = _whole("Steps", "lab.steps", STEPS, 1, most.steps, "Each draws a batch and changes the policy once.")
        group = int(kept_choice("Group", "lab.group", [4, 2, 8], width=110, help="Responses to one request."))
        part = group * MICRO_BATCHES
        sizes = list(range(part, most.batch + 1, part))
        if recall("lab.batch") not in sizes:
            keep("lab.batch", next((size for size in sizes if size >= BATCH), sizes[-1]))
        words = "Responses of a step: fewer are faster and noisier."
        batch = int(kept_choice("Batch", "lab.batch", sizes, width=110, help=words))
        kl_coef = _number(
            "KL coefficient", "lab.kl", 0.05, 0.0, 10.0, 0.01, "%.3g", "What a token pays for leaving the reference."
        )
        rate = _number("Learning rate", "lab.rate", RATE, 1e-6, 1e-1, 1e-4, "%.1e", "Adam's, constant.")
    told: dict[str, Any] = {
        "steps": steps, "group": group, "batch": batch, "micro_batches": MICRO_BATCHES, "kl_coef": kl_coef, "learning_rate": rate,
    }  # fmt: skip
    with st.expander("Requests and finer settings"):
        text = kept(st.text_area, "Requests to train on, one a line", PROMPTS, "\n".join(REQUESTS), height=180)
        told["prompts"] = tuple(line.strip() for line in text.splitlines() if line.strip())
        with st.container(horizontal=True, vertical_alignment="bottom"):
            told["max_new_tokens"] = _whole(
                "Longest response",
                "lab.tokens",
                min(32, most.new_tokens),
                4,
                most.new_tokens,
                "Tokens; longer ones are cut.",
            )
            told["gamma"] = _number("γ", "lab.gamma", 1.0, 0.0, 1.0, 0.01, "%.2f", "Discount.")
            told["kl_estimator"] = kept_choice("KL estimator", "lab.estimator", list(ESTIMATORS), width=120)
            if algorithm == "ppo":
                told["lam"] = _number(
                    "λ", "lab.lam", 0.95, 0.0, 1.0, 0.01, "%.2f", "Of generalised advantage estimation."
                )
            if algorithm in CLIPPED:
                told["clip"] = _number(
                    "Clip", "lab.clip", 0.2, 0.01, 1.0, 0.05, "%.2f", "How far the ratio may go from 1."
                )
                told["epochs"] = _whole("Passes", "lab.epochs", 1, 1, 8, "Over one batch.")
            if offered() is None:
                told["device"] = kept_choice("Device", "lab.device", ["auto", "cpu", "cuda"], width=120)
    return told, seeds


def _whole(label: str, name: str, default: int, low: int, high: int, words: str) -> int:
    keep(name, min(high, max(low, int(recall(name) or default))))
    return int(kept(st.number_input, label, name, default, low, high, step=1, width=130, help=words))


def _number(
    label: str, name: str, default: float, low: float, high: float, step: float, shown: str, words: str
) -> float:
    found = kept(st.number_input, label, name, default, low, high, step=step, format=shown, width=150, help=words)
    return float(default if found is None else found)


def _begin(configs: list[LabConfig], lines: int) -> None:
    """The button, what it will do, and how long that may take."""
    most = limits()
    total = sum(config.steps for config in configs)
    refused = f"This server draws up to {most.lines} lines at once; choose fewer." if lines > most.lines else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        if there := _finished(configs):
            st.button(
                "Show these curves",
                type="primary",
                icon=":material/show_chart:",
                on_click=open_experiment,
                args=(there,),
            )
            st.caption("This experiment has been run; the same settings give the same curves.", width="stretch")
            return
        st.button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not configs or bool(refused),
            on_click=tried,
            args=(start, configs),
        )
        if configs:
            seeds = len(configs) // lines
            st.caption(
                f"{lines} {'line' if lines == 1 else 'lines'} × {seeds} {'seed' if seeds == 1 else 'seeds'} × "
                f"{configs[0].steps} steps = {total:,} steps. {_estimate(configs)}",
                width="stretch",
            )
    if said := refused or problem():
        st.error(plain(said))
    if settings.demo_mode():
        st.caption(
            "This is a public demo: a run is kept in memory only, for this browser session. Download what you need."
        )


def _finished(configs: list[LabConfig]) -> str:
    """The experiment in which all of these are done, or ""."""
    for found in experiments(10):
        done = [run.config for run in found.runs if run.state == "done"]
        if configs and all(config in done for config in configs):
            return found.id
    return ""


def _estimate(configs: list[LabConfig]) -> str:
    """From the steps of earlier experiments with the same token rewards and algorithm, where there are some."""
    measured: dict[tuple[str, str], list[float]] = {}  # seconds per response and token allowed
    for found in experiments(10):
        for run in found.runs:
            key = (run.config.algorithm, run.config.method)
            measured.setdefault(key, []).extend(step.seconds / run.config.batch for step in run.steps)
    rates = [measured.get((config.algorithm, config.method)) for config in configs]
    if not all(rates):
        return "How long that takes is measured as soon as it runs."
    seconds = sum(
        sum(rate) / len(rate) * config.batch * config.steps for rate, config in zip(rates, configs, strict=True) if rate
    )
    return f"Estimate from earlier steps on this server: {duration(seconds)}."
