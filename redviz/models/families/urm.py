"""URM: a mean and a spread of five attributes, and weights of the means, all at the token where the score is read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


class Weighed(nn.Module):
    """The weighed sum of the means, and each mean: ``[..., D] -> [..., 1 + K]``. The weights may be negative and sum to anything."""

    def __init__(self, means: nn.Module, weights: nn.Module) -> None:
        super().__init__()
        self.means, self.weights = means, weights

    def forward(self, hidden: Tensor) -> Tensor:
        means: Tensor = self.means(hidden)  # [..., K]
        score = (means * self.weights(hidden)).sum(-1, keepdim=True)  # [..., 1]
        return torch.cat([score, means], -1)


def _recognises(config: Config, weights: Weights) -> bool:
    return "score.weight" in weights and {"weights.fc.0.weight", "weights.fc.4.weight"} <= set(weights.files)


def _head(config: Config, weights: Weights) -> nn.Module:
    """``score`` ``[2K, D]`` holds mean, spread, mean, spread, ...; the spreads are no part of the score."""
    both = linear(weights, "score")
    means = nn.Linear(both.in_features, both.out_features // 2, bias=both.bias is not None)
    with torch.no_grad():
        means.weight.copy_(both.weight[0::2])
        if both.bias is not None:
            means.bias.copy_(both.bias[0::2])
    layers = [part for place in (0, 2, 4) for part in (linear(weights, f"weights.fc.{place}"), nn.SELU())][:-1]
    return Weighed(means.requires_grad_(False), nn.Sequential(*layers))


def _labels(config: Config) -> tuple[str, ...]:
    count = len(config.get("id2label") or 2 * ATTRIBUTES) // 2
    named = ATTRIBUTES if count == len(ATTRIBUTES) else tuple(f"attribute {i}" for i in range(count))
    return ("score", *named)


FAMILY = Family(
    title="URM",
    source="LxzGordon/URM-LLaMa-3.1-8B: LlamaForSequenceClassificationWithNormal_Weights (as in sgl-project/sglang: "
    "python/sglang/srt/models/llama_reward.py)",
    about="Five attributes, each a mean and a spread, and weights of the means, all read at the last token; the score is the weighed "
    "sum of the means, and --head NAME shows one mean.",
    text="the tokenizer's chat template, nothing added: model card (apply_chat_template)",
    curve="one pass for every attribute and for the score",
    recognises=_recognises,
    head=_head,
    labels=_labels,
    mixed=True,
)
