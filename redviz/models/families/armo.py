"""Several objectives and a gate that weighs them by the prompt: ArmoRM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

OBJECTIVES = (
    "helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence", "helpsteer-complexity", "helpsteer-verbosity",
    "ultrafeedback-overall_score", "ultrafeedback-instruction_following", "ultrafeedback-truthfulness", "ultrafeedback-honesty",
    "ultrafeedback-helpfulness", "beavertails-is_safe", "prometheus-score", "argilla-overall_quality", "argilla-judge_lm",
    "code-complexity", "code-style", "code-explanation", "code-instruction-following", "code-readability",
)  # fmt: skip
HEADER = (128009, 128006, 78191, 128007, 271)  # Llama 3's end of turn and header of the assistant


class Adjusted(nn.Module):
    """Objectives with the debiasing matrix applied, as the gated score sums them: ``[..., D] -> [..., K]``."""

    matrix: Tensor

    def __init__(self, objectives: nn.Module, matrix: Tensor) -> None:
        super().__init__()
        self.objectives = objectives
        self.register_buffer("matrix", matrix.float())  # [K, K]

    def forward(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.objectives(hidden) @ self.matrix
        return scores


class Gate(nn.Module):
    """Weights of the objectives from one hidden state of the prompt: ``[..., D] -> [..., K]``, a scaled softmax."""

    scale: Tensor

    def __init__(self, layers: Sequence[nn.Module], temperature: float, scale: Tensor) -> None:
        super().__init__()
        self.layers, self.temperature = nn.Sequential(*layers), temperature
        self.register_buffer("scale", scale.float())  # [1]

    def forward(self, state: Tensor) -> Tensor:
        weights: Tensor = torch.softmax(self.layers(state) / self.temperature, -1) * self.scale
        return weights


def _recognises(config: Config, weights: Weights) -> bool:
    names = weights.starting("gating.layers.")
    return "regression_layer.weight" in weights and bool(names) and not any(n.endswith("running_mean") for n in names)


def _head(config: Config, weights: Weights) -> nn.Module:
    return Adjusted(
        linear(weights, "regression_layer"), weights.read(["reward_transform_matrix"])["reward_transform_matrix"]
    )


def _gate(config: Config, weights: Weights) -> nn.Module:
    places = sorted({int(name.split(".")[2]) for name in weights.starting("gating.layers.")})
    layers = [part for place in places for part in (linear(weights, f"gating.layers.{place}"), nn.ReLU())][:-1]
    scale = weights.read(["gating.logit_scale"])["gating.logit_scale"]
    return Gate(layers, float(config.get("gating_temperature", 10)), scale)


def _labels(config: Config) -> tuple[str, ...]:
    count = int(config.get("num_objectives", len(OBJECTIVES)))
    return OBJECTIVES if count == len(OBJECTIVES) else tuple(f"objective {i}" for i in range(count))


FAMILY = Family(
    title="ArmoRM",
    source="RLHFlow/ArmoRM-Llama3-8B-v0.1: modeling_custom.py, LlamaForRewardModelWithGating",
    about="Nineteen objectives and a gate that weighs them by the prompt alone; --head NAME shows one objective.",
    text="the tokenizer's chat template, with its BOS and nothing added: model card; the gate reads the header of its last answer",
    curve="one pass for every objective and for the gated score",
    recognises=_recognises,
    head=_head,
    labels=_labels,
    gate=_gate,
    header=lambda config: tuple(config.get("gating_header") or HEADER),
)
