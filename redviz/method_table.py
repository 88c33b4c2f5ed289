"""The table of credit methods: one plain dict, read by the library, the app, the CLI and the docs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from redviz.credit.attention import ROWS, abc
from redviz.credit.baselines import sparse, uniform
from redviz.credit.prefix import INITIALS, red
from redviz.method_info import MethodInfo, Option
from redviz.probe.choices import BASELINES, MOST_STEPS
from redviz.records import Credit


def _later(module: str, name: str) -> Callable[..., Credit]:
    """A credit function that is imported when it is first called: torch and Captum load only when they are needed."""

    def credit(*args: Any, **options: Any) -> Credit:
        made: Credit = getattr(import_module(f"redviz.probe.{module}"), name)(*args, **options)
        return made

    credit.__name__ = name
    return credit


METHODS: dict[str, MethodInfo] = {
    "red": MethodInfo(
        "RED", "Li et al. 2024, RED / R3HF, arXiv 2411.08302", "1 F", "observation", "R − β_c·P_0", True, red,
        {
            "beta_c": Option(1.0, "Share of the redistributed reward; the rest stays on the last token.", range=(0.0, 1.0)),
            "initial": Option("prefix", "What the first token is compared with.", choices=INITIALS),
        },
        family="prefix", formula="β_c (P_t − P_{t−1}) + (1 − β_c) [t = T] R", shift_invariant=True,
        identity="sum; returns R − P_{t−1}; the Shapley marginal of the natural order",
    ),
    "abc": MethodInfo(
        "ABC", "Chan et al. 2024, Dense Reward for Free, arXiv 2402.00782", "1 F", "attention", "R", False, abc,
        {
            "layer": Option(-1, "Attention layer; −1 is the last (the paper's choice)."),
            "heads": Option(None, "Heads to average; empty takes all (the paper's choice).", many=True),
            "b": Option(1.0, "Share of the score that attention splits; the paper's experiments use 0.8.", range=(0.0, 1.0)),
            "row": Option("response", "Whose attention: the last response token's, or the reading position's.", choices=ROWS),
        },
        family="attention", formula="b R α_t + (1 − b) [t = T] R", shift_invariant=False,
        identity="sum; every credit has the score's sign",
    ),
    "ig": MethodInfo(
        "IG", "Sundararajan et al. 2017, Integrated Gradients, through Captum", "n (F + B)", "model", "R − R(baseline)", False,
        _later("integrated_gradients", "ig"),
        {
            "baseline": Option("pad", "What every response token starts from; pad is mean where there is none.", choices=BASELINES),
            "steps": Option(None, "Quadrature nodes; empty doubles them until the residual is small.", bounds=(1, MOST_STEPS)),
        },
        family="gradient", formula="(e_t − b) · ∫ ∇R(b + a (e − b)) da", shift_invariant=True,
        identity="completeness; Captum's own over the full sequence",
    ),
    "sparse": MethodInfo(
        "Sparse", "outcome reward on the last token", "1 F", "observation", "R", True, sparse, {},
        family="outcome", formula="[t = T] R", shift_invariant=False, identity="sum",
    ),
    "uniform": MethodInfo(
        "Uniform", "R / T each, the control of ABC's paper", "1 F", "observation", "R", False, uniform, {},
        family="outcome", formula="R / T", shift_invariant=False, identity="sum",
    ),
}  # fmt: skip
