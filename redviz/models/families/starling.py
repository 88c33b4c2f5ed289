"""Starling-RM 7B (Llama 2) and 34B (Yi): a value head on a trunk called ``transformer``."""

from __future__ import annotations

import re

from torch import Tensor

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}</s>"
    "{% else %}[INST] {{ m['content'] }} </s> [/INST]{% endif %}{% endfor %}"
)


def _recognises(config: Config, weights: Weights) -> bool:
    return "v_head.weight" in weights and bool(weights.starting("transformer.")) and config.get("model_type") == "llama"


def _trunk(config: Config, weights: Weights) -> dict[str, Tensor]:
    """The trunk's tensors without ``transformer.``; the 7B file also holds the whole language model, which is not read."""
    names = weights.starting("transformer.")
    return {re.sub("^transformer\\.", "", name): tensor for name, tensor in weights.read(names).items()}


FAMILY = Family(
    title="Starling-RM",
    source="berkeley-nest/Starling-RM-7B-alpha and Nexusflow/Starling-RM-34B: model cards, GPTRewardModel "
    "(as in allenai/reward-bench: rewardbench/models/starling.py)",
    about="A linear head without bias, read before the first pad token, which is the last token of the text.",
    text="<s>[INST] … </s> [/INST] …</s> for Llama 2: model card of the 7B, whose code adds one more <s>; the 34B's "
    "tokenizer has its template",
    recognises=_recognises,
    head=lambda config, weights: linear(weights, "v_head"),
    trunk_type="llama",
    trunk=_trunk,
    beside=(r"^model\.",),
    template=INST,
)
