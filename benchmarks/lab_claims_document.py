"""The words, tables and figure of docs/lab.md. Every figure in them is computed; what is fixed is how the figures came about."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout need not be installed

from redviz import __version__
from redviz.view.colour import LIGHT

Results = Mapping[str, Sequence[Any]]  # method -> its results, seed after seed
COLOURS = dict(zip(("red", "abc", "uniform", "random", "sparse"), LIGHT.series, strict=False))
WINDOW = 5  # steps of a row of the learning curve's table


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval after Student, and how many seeds lie above 0."""

    value: float
    half: float
    above: int
    count: int

    @property
    def verdict(self) -> str:
        if self.value - self.half > 0:
            return "holds here"
        return "the opposite holds here" if self.value + self.half < 0 else "not decided here"

    def __str__(self) -> str:
        return f"{self.value:+.3f} ± {self.half:.3f}"


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean ± t · s / √n."""
    x = np.asarray(values, float)
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5) if len(x) > 1 else float("nan")
    return Interval(float(x.mean()), half, int((x > 0).sum()), len(x))


def mean_reward(result: Any) -> float:
    return float(np.mean([step.reward for step in result.steps]))


def objective(result: Any) -> float:
    return float(result.objective)


def held_out(name: str) -> Callable[[Any], float]:
    return lambda result: float(result.held_out[1][name])


def noise_share(result: Any) -> float:
    """How much of the squared gradient is noise: its variance over its squared norm, both summed over the steps."""
    return sum(s.gradient_variance for s in result.steps) / sum(s.gradient_norm**2 for s in result.steps)


def first_variance(result: Any) -> float:
    return float(np.log(result.steps[0].gradient_variance))


def norm(result: Any) -> float:
    return float(np.mean([s.gradient_norm for s in result.steps]))


def worst_drop(result: Any) -> float:
    """The largest fall of the reward, in means of three steps, below the best so far."""
    smooth = np.convolve([s.reward for s in result.steps], np.ones(3) / 3, "valid")
    return float((np.maximum.accumulate(smooth) - smooth).max())


def paired(compared: Results, one: str, other: str, figure: Callable[[Any], float]) -> Interval:
    """The difference of two methods, seed by seed."""
    return over_seeds([figure(a) - figure(b) for a, b in zip(compared[one], compared[other], strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def write_figure(compared: Results, path: Path) -> str | None:
    """Reward and KL by step, a line per method and a band of 95 % over seeds; the file's name, or None where nothing can draw it."""
    try:
        from plotly.subplots import make_subplots

        figure = make_subplots(cols=2, rows=1, subplot_titles=("reward of the batch", "KL to the reference"))
        for column, name in enumerate(("reward", "kl"), 1):
            for method, results in compared.items():
                values = np.array([[getattr(step, name) for step in r.steps] for r in results])  # [seed, step]
                mean = values.mean(0)
                half = stats.t.ppf(0.975, len(values) - 1) * values.std(0, ddof=1) / len(values) ** 0.5
                x = np.arange(1, len(mean) + 1)
                shade, colour = COLOURS[method], {"color": COLOURS[method], "width": 2}
                figure.add_scatter(
                    x=[*x, *x[::-1]], y=[*(mean + half), *(mean - half)[::-1]], fill="toself", fillcolor=shade, opacity=0.12,
                    line={"width": 0}, showlegend=False, row=1, col=column,
                )  # fmt: skip
                figure.add_scatter(
                    x=x, y=mean, name=method, mode="lines", line=colour, showlegend=column == 1, row=1, col=column
                )
        figure.update_layout(width=1000, height=420, template="plotly_white", font={"size": 14, "color": LIGHT.text})
        figure.update_xaxes(title_text="step")
        path.write_bytes(figure.to_image(format="svg"))
    except Exception as error:  # Kaleido and its browser each have a tree of their own; the tables say the same
        print(f"no figure was drawn ({type(error).__name__}: {error})")
        return path.name if path.exists() else None
    return path.name


def claims(compared: Results) -> list[tuple[str, str, Interval]]:
    """What was to be tested, as a difference that is positive where it is true."""
    rows = []
    for one, other in (("red", "sparse"), ("abc", "sparse"), ("uniform", "sparse"), ("random", "sparse"),
                       ("red", "uniform"), ("red", "random"), ("red", "abc"), ("abc", "uniform"), ("abc", "random")):  # fmt: skip
        rows.append(
            (
                f"{one} learns faster than {other}",
                "mean reward over all steps",
                paired(compared, one, other, mean_reward),
            )
        )
    for one in ("red", "abc", "uniform", "random"):
        rows.append(
            (f"{one} ends higher than sparse", "held-out reward", paired(compared, one, "sparse", held_out("reward")))
        )
    for one in ("red", "abc", "uniform", "random"):
        less = paired(compared, "sparse", one, noise_share)
        rows.append((f"{one}'s gradient is less noisy than sparse's", "noise share", less))
    for one in ("red", "abc", "uniform", "random"):
        rows.append((f"{one} falls back less than sparse", "worst drop", paired(compared, "sparse", one, worst_drop)))
    return rows


def machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    import torch

    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores shared with other work, one thread, torch {torch.__version__}"


def document(tuned: Sequence[Any], rates: Mapping[str, float], compared: Results, figure: str | None) -> str:
    """The whole of docs/lab.md."""
    methods, every = list(compared), [r for results in compared.values() for r in results]
    seeds = [r.config.seed for r in next(iter(compared.values()))]
    config, steps = every[0].config, len(every[0].steps)
    tuning_steps = len(tuned[0].steps)
    all_rates = sorted({r.config.learning_rate for r in tuned})
    tuning_seeds = sorted({r.config.seed for r in tuned})
    spent = sum(r.cpu_seconds for r in [*every, *tuned])
    found = claims(compared)

    def each(figure: Callable[[Any], float]) -> dict[str, Interval]:
        return {method: over_seeds([figure(r) for r in compared[method]]) for method in methods}

    def tuned_row(method: str) -> list[str]:
        own = {
            rate: [r.objective for r in tuned if r.config.method == method and r.config.learning_rate == rate]
            for rate in all_rates
        }
        told = [f"{np.mean(own[rate]):+.3f}" for rate in all_rates]
        return [method, *(f"**{t}**" if rate == rates[method] else t for t, rate in zip(told, all_rates, strict=True))]

    reward, goal = each(mean_reward), each(objective)
    first = [
        [m, f"{rates[m]:g}", str(reward[m]), str(goal[m]),
         *(["–", "–"] if m == "sparse" else [str(d := paired(compared, m, "sparse", mean_reward)), f"{d.above} of {d.count}"])]
        for m in methods
    ]  # fmt: skip
    windows = [range(start, min(start + WINDOW, steps)) for start in range(0, steps, WINDOW)]
    curve = [
        [m, *(str(over_seeds([float(np.mean([r.steps[i].reward for i in w])) for r in compared[m]])) for w in windows)]
        for m in methods
    ]
    last = {name: each(held_out(name)) for name in ("reward", "kl", "length", "entropy")}
    spread = {m: float(np.std([r.held_out[1]["reward"] for r in compared[m]], ddof=1)) for m in methods}
    ends = [
        [
            m,
            *(str(last[name][m]).lstrip("+") for name in last),
            f"{spread[m]:.3f}",
            str(each(worst_drop)[m]).lstrip("+"),
        ]
        for m in methods
    ]
    gradients = [
        [m, str(each(norm)[m]).lstrip("+"), str(each(noise_share)[m]).lstrip("+"),
         "–" if m == "sparse" else f"{np.exp(paired(compared, m, 'sparse', first_variance).value):.2f}"]
        for m in methods
    ]  # fmt: skip
    edge = [m for m in methods if rates[m] in (all_rates[0], all_rates[-1])]
    before = every[0].held_out[0]
    by_verdict = {
        verdict: [claim for claim, _, interval in found if interval.verdict == verdict]
        for verdict in ("holds here", "the opposite holds here", "not decided here")
    }
    drawn = f"\n![Reward and KL by step]({figure})\n\nBands are 95 % intervals over the seeds.\n" if figure else ""
    return f"""# Does splitting the reward over the tokens help a policy learn?

Written by one command; whatever came out is here.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/lab_claims.py --seeds {len(seeds)} --steps {steps}

| | |
|---|---|
| policy, reward model | `{config.policy}` (also the KL's reference), `{config.reward_model}` |
| algorithm | {config.algorithm}, KL coefficient {config.kl_coef:g} ({config.kl_estimator} in the reward), γ = {config.gamma:g}, Adam, constant rate |
| budget of every run | {steps} steps of {config.batch} responses to {len(config.prompts)} requests, at most {config.max_new_tokens} tokens each |
| seeds | {", ".join(map(str, seeds))}; for tuning {", ".join(map(str, tuning_seeds))} |
| machine | {machine()} |
| processor time | {spent / 60:.0f} minutes for {len(every) + len(tuned)} runs ({len(tuned)} of them tuning) |
| version | redviz {__version__} |

On one machine, rerunning a seed gives its numbers exactly (`tests/lab/test_lab_claims.py`). All methods see the same requests and the same random numbers
under one seed, so differences are taken seed by seed. ± is a 95 % interval after Student over {len(seeds)} seeds; {len(found)} comparisons are listed
and their intervals are not widened for that: about one in twenty would leave 0 by chance.

**Why REINFORCE with a running baseline.** Token rewards matter where the return to go is used token by token. In RLOO and GRPO the
totals of RED cancel to the sparse reward's, and the group's baseline already takes much of the variance that a split could take. PPO's critic learns a split of its own, and how it is initialised would
decide the result. REINFORCE gives every method the same plain baseline at its own scale, the mean return at each position over earlier steps,
so what is left between the methods is the credit. For the sparse reward and RED the gradient is that of the score; for uniform, ABC
and random it is another one (`redviz/lab/forms.py`).

## What holds

{verdicts(by_verdict)}
"The optimum is unchanged" is not decided by runs; the exact laboratory (`redviz/lab/exact.py`) decides it.

{table(["claim", "measured as a difference of", "seed by seed", "seeds in favour", "verdict"], [[c, f, str(i), f"{i.above} of {i.count}", i.verdict] for c, f, i in found])}

## Learning rates

Mean over {tuning_steps} steps of what is maximised (reward − {config.kl_coef:g} KL), two tuning seeds, the same budget for each; the best is taken.

{table(["method", *(f"{rate:g}" for rate in all_rates)], [tuned_row(m) for m in methods])}

{("At the edge of the grid: " + ", ".join(edge) + ".") if edge else "No method is at the edge of the grid."}

## Mean over the first {steps} steps

As ABC's table does (mean training reward from the first step on); the objective takes the KL penalty off.

{table(["method", "rate", "mean reward", "mean objective", "reward less sparse's", "seeds above sparse"], first)}
{drawn}
{table(["mean reward of steps", *(f"{w[0] + 1}–{w[-1] + 1}" for w in windows)], curve)}

## At the end

{before_said(before)} After {steps} steps:

{table(["method", "held-out reward", "KL", "length", "entropy", "reward's deviation between seeds", "worst drop"], ends)}

The deviation between {len(seeds)} seeds is itself known to a factor of two or three only. The worst drop is the largest fall of the training reward below its best so far, in
means of three steps.

## Gradients

The norm is that of the whole batch's gradient, mean over the steps. The noise share is the gradient's variance over its squared norm, both summed
over the steps; the variance is estimated without bias between the {config.micro_batches} parts of a batch (`redviz/lab/gradients.py`). 1 would be noise alone. At the
first step all methods hold the same policy and the same responses: the last column is the ratio of the variances there, the mean of its logarithm over the seeds.
It compares like with like for RED, whose expected gradient is the sparse reward's; the others' gradients are of another scale.

{table(["method", "gradient norm", "noise share", "variance at the first step, of sparse's"], gradients)}

## Limits

* One task, one small policy, one reward model, {steps} steps, {len(seeds)} seeds, one algorithm. `{config.reward_model}` was trained on unfinished text, so its prefix scores
  mean something: that favours RED, and is not so for most reward models.
* The reward is the reward model's own; nobody read the texts. A policy that is pushed long enough writes praise that is no review.
* Tuning on two seeds and three rates finds a good rate, not the best one.
"""  # noqa: E501


def verdicts(by_verdict: Mapping[str, Sequence[str]]) -> str:
    return "".join(
        f"* **{verdict[0].upper()}{verdict[1:]}:** {'; '.join(found) if found else 'nothing'}.\n"
        for verdict, found in by_verdict.items()
    )


def before_said(before: Mapping[str, float]) -> str:
    return (
        f"64 responses to 8 held-out requests, drawn with one fixed seed for all. Before training: reward {before['reward']:+.3f} "
        f"(standard error {before['reward_error']:.3f}), {before['length']:.1f} tokens, entropy {before['entropy']:.2f}."
    )
