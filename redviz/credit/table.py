"""The table of credit methods: one plain dict, read by the library, the app, the CLI and the docs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from redviz.credit.choices import (
    BASELINES,
    GENERATION_STEPS,
    MOST_COALITIONS,
    MOST_SAMPLES,
    MOST_STEPS,
    NORMS,
    OPERATORS,
    PLAYERS,
)
from redviz.credit.from_records.abc import ROWS, abc
from redviz.credit.from_records.baselines import sparse, uniform
from redviz.credit.from_records.log_ratio import ESTIMATORS, KINDS, dpo, kl, rto, sepo, tdpo
from redviz.credit.from_records.prefix import INITIALS, red
from redviz.credit.from_records.process import process
from redviz.credit.from_records.softmaxed import FORMS
from redviz.credit.method import MethodInfo, Option
from redviz.records import Credit


def _later(module: str, name: str) -> Callable[..., Credit]:
    """A credit function that is imported when it is first called: torch and Captum load only when they are needed."""

    def credit(*args: Any, **options: Any) -> Credit:
        made: Credit = getattr(import_module(f"redviz.credit.from_models.{module}"), name)(*args, **options)
        return made

    credit.__name__ = name
    return credit


LI, ABC = "Li et al. 2024, RED / R3HF, arXiv 2411.08302", "Chan et al. 2024, Dense Reward for Free, arXiv 2402.00782"
CAPTUM = ", through Captum"
SMOOTH = "; SmoothGrad, arXiv 1706.03825" + CAPTUM

LAYER = Option(-1, "Attention layer; −1 is the last (the paper's choice).")
ROW = Option("response", "Whose attention: the last response token's, or the reading position's.", choices=ROWS)
BASELINE = Option("pad", "What every response token starts from; pad is mean where there is none.", choices=BASELINES)
OPERATOR = Option(
    "delete", "How a unit is taken away: deleted, pad tokens, the mean embedding, or masked.", choices=OPERATORS
)
SEED = Option(0, "Of the random draws.", bounds=(0, 2**31 - 1))
STRIDE = Option(
    1, "Score every n-th prefix only; for models that look both ways, where each costs a pass.", bounds=(1, 512)
)
BETA = Option(0.1, "The temperature the policy was tuned with.", range=(0.0, 10.0))
ESTIMATOR = Option("k1", "k1 is the signed log-ratio; k2 and k3 are never negative.", choices=ESTIMATORS)


def _smooth(samples: int) -> dict[str, Option]:
    """SmoothGrad's options."""
    return {
        "noise": Option(
            0.0, "SmoothGrad's noise level, as a share of the embeddings' range; 0 is none.", range=(0.0, 1.0)
        ),
        "samples": Option(samples, "Noisy responses that SmoothGrad averages over.", bounds=(1, MOST_SAMPLES)),
        "seed": SEED,
    }


def _players(default: str) -> Option:
    return Option(default, "What is taken away as one.", choices=PLAYERS)


METHODS: dict[str, MethodInfo] = {
    "red": MethodInfo(
        "RED", LI, "1 F; T + 1 F both ways", "observation", "R − β_c·P_0 − β Σ k_t", True, red,
        {
            "beta_c": Option(1.0, "Share of the redistributed reward; the rest stays on the last token.", range=(0.0, 1.0)),
            "initial": Option("prefix", "What the first token is compared with.", choices=INITIALS),
            "kl_coef": Option(0.0, "KL penalty taken from every token; needs a policy and a reference.", range=(0.0, 1.0)),
            "kl_estimator": ESTIMATOR,
            "alpha": Option(0.0, "Weight of a cost model, 0.5 (reward + α cost); 0 leaves it out.", range=(-1.0, 1.0)),
            "stride": STRIDE,
            "objective": Option(-1, "Of a model with several, the number of one; −1 is the model's own score.", bounds=(-1, 511)),
        },
        family="prefix", formula="β_c (P_t − P_{t−1}) + (1 − β_c) [t = T] R − β k_t; with costs ½ (reward + α cost)", shift_invariant=True,
        identity="sum; return R − β_c·P_{t−1}; GAE with a shifted critic; Shapley's marginal of the natural order",
        extras={"kl_coef": "log_probs", "alpha": "cost"}, steps=True,
    ),
    "red_closed": MethodInfo(
        "RED closed", LI + "; closed prefixes are ours", "2 F, and s (T + 1) closing tokens; T + 1 F both ways",
        "model", "R − β_c·Q_0", True,
        _later("closed_prefixes", "red_closed"),
        {
            "beta_c": Option(1.0, "Share of the redistributed reward; the rest stays on the last token.", range=(0.0, 1.0)),
            "stride": STRIDE,
        },
        family="prefix", formula="β_c (Q_t − Q_{t−1}) + (1 − β_c) [t = T] R", shift_invariant=True,
        identity="sum; every Q_t equals an explicit forward of the closed prefix",
    ),
    "truncation": MethodInfo(
        "Truncation", "the score of the text cut after each unit", "T + 1 F", "model", "R − Q_0", True,
        _later("truncation", "truncation"), {"players": _players("token")},
        family="prefix", formula="R(y_≤t) − R(y_<t), each text closed and scored alone", shift_invariant=True,
        identity="sum; the model's own score of every cut", black_box=True,
    ),
    "process": MethodInfo(
        "Own scores", "Lightman et al. 2023, Let's Verify Step by Step, arXiv 2305.20050", "1 F", "steps", "nothing", True,
        process, {},
        family="prefix", formula="p_k, the score that the model itself gives step k (process reward models) or token k (token rewards)",
        shift_invariant=False, identity="the published recipe computed by hand", steps=True,
    ),
    "abc": MethodInfo(
        "ABC", ABC, "1 F", "attention", "R", False, abc,
        {
            "layer": LAYER,
            "heads": Option(None, "Heads to average; empty takes all (the paper's choice).", many=True),
            "b": Option(1.0, "Share of the score that attention splits; the paper's experiments use 0.8.", range=(0.0, 1.0)),
            "row": ROW,
        },
        family="attention", formula="b R α_t + (1 − b) [t = T] R", shift_invariant=False,
        identity="sum; every credit has the score's sign; rows equal the eager kernel's",
    ),
    "abc_d": MethodInfo(
        "ABC-D", ABC, "1 F, 1 F of the policy", "policy", "R", False, _later("attention", "abc_d"),
        {"layer": LAYER, "steps": Option("all", "Generation steps that are listened to.", choices=GENERATION_STEPS)},
        family="attention", formula="R α_t, α ∝ mean over i ≥ t of the policy's attention", shift_invariant=False,
        identity="sum; rows equal the eager kernel's",
    ),
    "rollout": MethodInfo(
        "Rollout", "Abnar & Zuidema 2020, Quantifying Attention Flow, arXiv 2005.00928", "2 F", "model", "R", False,
        _later("attention", "rollout"),
        {"row": ROW, "residual": Option(0.5, "Share that passes each layer by; 0.5 is the paper's.", range=(0.0, 1.0))},
        family="attention", formula="R ρ_t, ρ a row of Π_l ((1 − w) A_l + w I)", shift_invariant=False,
        identity="sum; the eager kernel's matrices multiplied out",
    ),
    "attention_norm": MethodInfo(
        "Attention norm", "Kobayashi et al. 2020, Attention is Not Only a Weight, arXiv 2004.10102", "2 F", "model", "R", False,
        _later("attention", "attention_norm"), {"layer": LAYER, "row": ROW},
        family="attention", formula="R ν_t, ν_t ∝ ‖Σ_h α_ht W_O v_ht‖", shift_invariant=False,
        identity="sum; the norms recomputed from the eager kernel",
    ),
    "ig": MethodInfo(
        "IG", "Sundararajan et al. 2017, Integrated Gradients, arXiv 1703.01365" + SMOOTH, "2 F + n (F + B); with noise M times n more",
        "model", "R − R(baseline)", False,
        _later("integrated_gradients", "ig"),
        {
            "baseline": BASELINE,
            "steps": Option(None, "Quadrature nodes; empty doubles them until the residual is small.", bounds=(1, MOST_STEPS)),
            **_smooth(8),
        },
        family="gradient", formula="(e_t − b) · ∫ ∇R(b + a (e − b)) da", shift_invariant=True,
        identity="completeness; Captum's own over the whole sequence",
    ),
    "grad_x_input": MethodInfo(
        "Grad × input", "Shrikumar et al. 2016, arXiv 1605.01713" + SMOOTH,
        "2 F + 1 B; with noise 1 F + M (F + B)", "model", "nothing", False,
        _later("gradients", "grad_x_input"), _smooth(32),
        family="gradient", formula="e_t · ∇_t R", shift_invariant=True, identity="autograd over the whole sequence; w·x on a linear model",
    ),
    "saliency": MethodInfo(
        "Saliency", "Simonyan et al. 2013, arXiv 1312.6034" + SMOOTH,
        "2 F + 1 B; with noise 1 F + M (F + B)", "model", "nothing", False,
        _later("gradients", "saliency"), {"norm": Option("l2", "Over the embedding.", choices=NORMS), **_smooth(32)},
        family="gradient", formula="‖∇_t R‖", shift_invariant=True, identity="autograd over the whole sequence; never negative",
    ),
    "gradient_shap": MethodInfo(
        "Gradient SHAP", "Lundberg & Lee 2017, arXiv 1705.07874" + CAPTUM, "2 F + M (F + B)", "model", "R − R(baseline)", False,
        _later("gradients", "gradient_shap"),
        {
            "baseline": BASELINE,
            "samples": Option(32, "Random points between baseline and response.", bounds=(1, MOST_SAMPLES)),
            "noise": Option(0.0, "SmoothGrad's noise level, as a share of the embeddings' range.", range=(0.0, 1.0)),
            "seed": SEED,
        },
        family="gradient", formula="E_a[(e_t − b) · ∇R(b + a (e − b))]", shift_invariant=True,
        identity="w·(x − b) on a linear model; residual and standard errors reported",
    ),
    "deeplift": MethodInfo(
        "DeepLIFT", "Shrikumar et al. 2017, arXiv 1704.02685" + CAPTUM, "4 F + 2 B", "model", "R − R(baseline)", False,
        _later("deeplift", "deeplift"), {"baseline": BASELINE},
        family="gradient", formula="Σ multipliers · (e_t − b)", shift_invariant=True,
        identity="refuses where its own sum does not hold, as in every transformer tried",
    ),
    "p2t": MethodInfo(
        "P2T", "Unlocking Token Rewards via Training-Free Reward Attribution, CVPR 2026", "2 F + 1 B", "model", "(T + ω)·R", False,
        _later("gradients", "p2t"),
        {
            "null": Option("pad", "The embedding a token is compared with; pad is mean where there is none.", choices=BASELINES),
            "omega": Option(0.6, "Weight of the part that differs between tokens; 0.6 in the paper.", range=(0.0, 10.0)),
            "form": Option("published", "published: R + ωR·softmax(I); shares: R·softmax(I); raw: I alone.", choices=FORMS),
        },
        family="gradient", formula="R + ω R softmax(I)_t, I_t = ∇_t R · (e_t − b)", shift_invariant=False,
        identity="the sum it really has, not the R that the paper claims; w·(x − b) raw on a linear model",
    ),
    "occlusion": MethodInfo(
        "Occlusion", "Zeiler & Fergus 2013, arXiv 1311.2901; Li et al. 2016, arXiv 1612.08220" + CAPTUM, "1 F, and P tails",
        "model", "nothing",
        False,
        _later("perturbation", "occlusion"), {"players": _players("token"), "operator": OPERATOR},
        family="perturbation", formula="R(y) − R(y without t)", shift_invariant=True,
        identity="every altered text scored alone; w·x on a linear model", black_box=True,
    ),
    "shapley": MethodInfo(
        "Shapley", "Castro et al. 2009; SCAR, Cao et al. 2025, arXiv 2505.20417" + CAPTUM, "1 F, and M·P tails (at most 2^P)",
        "model", "R − v(∅)", False,
        _later("shapley", "shapley"),
        {
            "players": _players("word"),
            "operator": OPERATOR,
            "samples": Option(
                25, "Permutations, drawn in pairs; up to ten units, and more in Owen values, are exact.", bounds=(2, MOST_COALITIONS)
            ),
            "owen": Option(False, "Owen values: words and sentences join as one."),
            "seed": SEED,
        },
        family="perturbation", formula="E_orders[v(S ∪ t) − v(S)]", shift_invariant=True,
        identity="efficiency; enumeration of 6 and of 10 players; standard errors cover", black_box=True,
    ),
    "lime": MethodInfo(
        "LIME", "Ribeiro et al. 2016, arXiv 1602.04938" + CAPTUM, "1 F, and M tails", "model", "nothing", False,
        _later("perturbation", "lime"),
        {
            "players": _players("word"),
            "operator": OPERATOR,
            "samples": Option(None, "Altered responses; empty takes 256 and two for every unit.", bounds=(2, MOST_COALITIONS)),
            "seed": SEED,
        },
        family="perturbation", formula="slope of a weighted ridge regression of v(S)", shift_invariant=True,
        identity="an independent ridge regression; the intercept takes every shift", black_box=True,
    ),
    "kernel_shap": MethodInfo(
        "Kernel SHAP", "Lundberg & Lee 2017, arXiv 1705.07874; Covert & Lee 2021, arXiv 2012.01536", "1 F, and M tails",
        "model", "R − v(∅)", False,
        _later("perturbation", "kernel_shap"),
        {
            "players": _players("word"),
            "operator": OPERATOR,
            "samples": Option(None, "Altered responses; empty takes 256 and two for every unit.", bounds=(2, MOST_COALITIONS)),
            "seed": SEED,
        },
        family="perturbation", formula="slope of least squares of v(S) under the Shapley kernel's weights", shift_invariant=True,
        identity="efficiency; Shapley values where all coalitions are scored", black_box=True,
    ),
    "dpo": MethodInfo(
        "DPO", "Rafailov et al. 2024, From r to Q*, arXiv 2404.12358", "1 F, 2 F of the policies", "log_probs",
        "β log π/π_ref (y)", True, dpo,
        {"beta": BETA},
        family="policy", formula="β log π/π_ref (y_t)", shift_invariant=True,
        identity="the sequence's log-ratio; 0 where the policies are one; Σ_v π_ref e^(q/β) = 1",
    ),
    "rto": MethodInfo(
        "RTO", "Zhong et al. 2024, arXiv 2404.18922", "1 F, 2 F of the policies", "log_probs", "β_3·R + β_1 log π/π_ref (y), clipped", True,
        rto,
        {
            "beta_1": Option(0.05, "Weight of the implicit reward.", range=(0.0, 10.0)),
            "beta_3": Option(1.0, "Weight of the score, on the last token.", range=(0.0, 10.0)),
            "clip": Option(0.05, "Bound of the implicit reward; 0 leaves it unbounded.", range=(0.0, 10.0)),
        },
        family="policy", formula="clip(β_1 log π/π_ref (y_t)) + [t = T] β_3 R", shift_invariant=False,
        identity="sum; sparse at β_1 = 0",
    ),
    "sepo": MethodInfo(
        "SePO", "Yang et al. 2024, arXiv 2408.13518", "1 F, 2 F of the policies", "log_probs", "nothing", True, sepo,
        {
            "share": Option(0.3, "The part of the tokens that is selected.", range=(0.0, 1.0)),
            "kind": Option("scores", "All scores, or those selected in a chosen or a rejected response.", choices=KINDS),
        },
        family="policy", formula="log π/π_ref (y_t)", shift_invariant=True, identity="floor(k N) tokens; the first may be among them",
    ),
    "tdpo": MethodInfo(
        "TDPO", "Zeng et al. 2024, arXiv 2404.11999", "1 F, 2 F of the policies", "log_probs", "β (log π/π_ref (y) + Σ KL_t)", True, tdpo,
        {"beta": BETA},
        family="policy", formula="β (log π/π_ref (y_t) + KL(π_ref ‖ π)(s_t))", shift_invariant=True,
        identity="mean 0 under the reference, over the whole vocabulary",
    ),
    "treg": MethodInfo(
        "T-REG", "Zhou et al. 2024, arXiv 2412.02685; the wording of the instructions is ours", "1 F, 2 F of the reference", "reference",
        "nothing", True, _later("contrast", "treg"), {},
        family="policy", formula="σ(log π(y_t | better) − log π(y_t | worse)) − ½", shift_invariant=True,
        identity="swapping the instructions negates it; within (−½, ½)",
    ),
    "kl": MethodInfo(
        "KL penalty", "Schulman 2020, Approximating KL divergence", "1 F, 2 F of the policies", "log_probs", "−β Σ k_t", True, kl,
        {"beta": Option(0.1, "The penalty's coefficient.", range=(0.0, 1.0)), "estimator": ESTIMATOR},
        family="policy", formula="−β k_t", shift_invariant=True, identity="k1 sums to the log-ratio; k2, k3 never negative",
    ),
    "sparse": MethodInfo(
        "Sparse", "outcome reward on the last token", "1 F", "observation", "R", True, sparse, {},
        family="outcome", formula="[t = T] R", shift_invariant=False, identity="sum", black_box=True,
    ),
    "uniform": MethodInfo(
        "Uniform", "R / T each, the control of ABC's paper", "1 F", "observation", "R", False, uniform, {},
        family="outcome", formula="R / T", shift_invariant=False, identity="sum", black_box=True,
    ),
}  # fmt: skip
