"""QRM: quantiles of every objective, whose mean counts, and a gate with normalised layers that reads the prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redviz.errors import RedvizError
from redviz.models.families.armo import HEADER, OBJECTIVES, Adjusted, Gate
from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

GEMMA = (107, 108, 106, 2516, 108)  # Gemma 2's end of turn and header of the model, with the line breaks between
EPSILON = 1e-5  # of torch's batch normalisation
MATRIX = "reward_transform_matrix"


class Normalised(nn.Module):
    """Batch normalisation with the statistics of training, for any leading shape: ``[..., H] -> [..., H]``."""

    factor: Tensor
    shift: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        factor = weight.float() / (variance.float() + EPSILON).sqrt()
        self.register_buffer("factor", factor)  # [H]
        self.register_buffer("shift", bias.float() - mean.float() * factor)  # [H]

    def forward(self, state: Tensor) -> Tensor:
        return state * self.factor + self.shift


def _recognises(config: Config, weights: Weights) -> bool:
    return "regression_layer.weight" in weights and any(
        name.endswith(".running_mean") for name in weights.starting("gating.layers.")
    )


def _count(config: Config) -> int:
    return int(config.get("num_objectives") or (5 if _is_gemma(config) else len(OBJECTIVES)))


def _is_gemma(config: Config) -> bool:
    return config.get("model_type") == "gemma2"


def _head(config: Config, weights: Weights) -> nn.Module:
    """The mean over each objective's quantiles is linear, so one row per objective is left: ``[K * Q, D]`` to ``[K, D]``."""
    every, count = linear(weights, "regression_layer"), _count(config)
    rows, width = every.weight.shape
    if rows % count:
        raise RedvizError(
            f"{weights.name} has {rows} quantiles, which {count} objectives do not divide; check num_objectives in config.json."
        )
    mean = nn.Linear(width, count, bias=False)
    with torch.no_grad():
        mean.weight.copy_(every.weight.reshape(count, -1, width).mean(1))  # objective by objective
    matrix = weights.read([MATRIX])[MATRIX] if MATRIX in weights else torch.eye(count)
    return Adjusted(mean.requires_grad_(False), matrix)


def _gate(config: Config, weights: Weights) -> nn.Module:
    """Linear, ReLU, normalisation, as often as the checkpoint holds them, and a last linear layer; dropout is off."""
    parts: list[nn.Module] = []
    for place in sorted({int(name.split(".")[2]) for name in weights.starting("gating.layers.")}):
        prefix = f"gating.layers.{place}"
        if f"{prefix}.running_mean" in weights:
            names = [f"{prefix}.{name}" for name in ("running_mean", "running_var", "weight", "bias")]
            found = weights.read(names)
            parts.append(Normalised(*(found[name] for name in names)))
        else:
            parts += [linear(weights, prefix), nn.ReLU()]
    scale = weights.read(["gating.logit_scale"])["gating.logit_scale"]
    return Gate(parts[:-1], float(config.get("gating_temperature") or (1 if _is_gemma(config) else 10)), scale)


def _labels(config: Config) -> tuple[str, ...]:
    count = _count(config)
    return OBJECTIVES[:count] if count in (5, len(OBJECTIVES)) else tuple(f"objective {i}" for i in range(count))


def _header(config: Config) -> tuple[int, ...]:
    return tuple(config.get("gating_header") or (GEMMA if _is_gemma(config) else HEADER))


FAMILY = Family(
    title="QRM",
    source="nicolinho/QRM-Llama3.1-8B and QRM-Gemma-2-27B: modeling_custom.py (as in allenai/reward-bench: rewardbench/models/qrm.py, "
    "LlamaForRewardModelWithGating31)",
    about="Quantiles of every objective, read as their mean, and a gate that weighs the objectives by the prompt alone; "
    "--head NAME shows one objective.",
    text="the tokenizer's chat template, nothing added: model cards (apply_chat_template)",
    curve="one pass for every objective and for the gated score",
    recognises=_recognises,
    head=_head,
    labels=_labels,
    gate=_gate,
    header=_header,
)
