"""Open-Assistant's GPT-NeoX reward models (oasst-rm-2.1-pythia-1.4b and others)."""

from __future__ import annotations

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

TEMPLATE = (
    "{% for m in messages %}{{ {'assistant': '<|assistant|>', 'system': '<|system|>'}[m['role']] or '<|prompter|>' }}{{ m['content'] }}"
    "<|endoftext|>"
    "{% endfor %}"
)


def _recognises(config: Config, weights: Weights) -> bool:
    return config.get("model_type") == "gpt_neox_reward_model" and "out_proj.weight" in weights


FAMILY = Family(
    title="Open-Assistant GPT-NeoX",
    source="LAION-AI/Open-Assistant: model/model_training/models/reward_model.py, GPTNeoXRewardModel",
    about="A linear head with bias on the hidden state of the last token, or on the mean of all (pooling in config.json).",
    text="<|prompter|>…<|endoftext|><|assistant|>…<|endoftext|>, nothing added: "
    "model/model_training/custom_datasets/formatting.py, DatasetEntryRm",
    recognises=_recognises,
    head=lambda config, weights: linear(weights, "out_proj"),
    kinds=("gpt_neox_reward_model",),
    trunk_type="gpt_neox",
    template=TEMPLATE,
    pooling=lambda config: str(config.get("pooling") or "last"),
)
