"""PKU's Beaver reward and cost models. A cost is lower-better: redviz shows its negative."""

from __future__ import annotations

from torch import nn

from redviz.errors import RedvizError
from redviz.models.families.family import Config, Family
from redviz.models.families.heads import Scaled, linear
from redviz.models.loading.weights import Weights

TEMPLATE = (
    "{{ bos_token }}BEGINNING OF CONVERSATION: {% for m in messages %}{% if m['role'] == 'assistant' %}ASSISTANT:{{ m['content'] }}"
    "{{ eos_token }}{% else %}USER: {{ m['content'] }} {% endif %}{% endfor %}"
)
EPSILON = 1e-8  # added to the spread, as their normalizer does


def _head(config: Config, weights: Weights) -> nn.Module:
    """The score head; normalised where config.json says so: rewards shifted and scaled, costs only scaled (0 stays 0), critics never."""
    own, kind = linear(weights, "score_head"), config.get("score_type", "reward")
    if not config.get("do_normalize") or kind == "critic":
        return own
    if "mean" not in config or "var" not in config:
        raise RedvizError(
            f"{weights.name} says do_normalize, and its config.json holds no mean and var; save the model again with both."
        )
    mean = config["mean"] if kind == "reward" else 0.0
    variance = config["var"] if isinstance(config["var"], list) else [config["var"]]
    return Scaled(own, mean, [value**0.5 + EPSILON for value in variance])


FAMILY = Family(
    title="PKU Beaver",
    source="PKU-Alignment/safe-rlhf: safe_rlhf/models/score_model/__init__.py, ScoreModelMixin.get_scores",
    about="A score head read at the end token; of a cost model (score_type in config.json) the negative is shown, higher is better.",
    text="BEGINNING OF CONVERSATION: USER: … ASSISTANT:…, BOS before it and EOS behind: "
    "safe_rlhf/configs/constants.py and safe_rlhf/datasets/preference.py",
    recognises=lambda config, weights: "score_head.weight" in weights,
    head=_head,
    beside=(r"^normalizer\.(mean|var|count)$",),  # as in config.json
    template=TEMPLATE,
    lower_is_better=lambda config: config.get("score_type") == "cost",
    labels=lambda config: (str(config.get("score_type", "reward")),),
)
