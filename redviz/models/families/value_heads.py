"""Value heads on language models: TRL's ``v_head.summary``, and GRM, whose head may be an MLP."""

from __future__ import annotations

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import dense
from redviz.models.loading.weights import Weights

HEAD = "v_head.summary"


def _is_grm(config: Config, weights: Weights) -> bool:
    return bool(weights.starting(f"{HEAD}.")) and ("vhead_layer_type" in config or f"{HEAD}.0.weight" in weights)


def _is_trl(config: Config, weights: Weights) -> bool:
    return f"{HEAD}.weight" in weights and not _is_grm(config, weights)


GRM = Family(
    title="GRM (generalizable reward model)",
    source="allenai/reward-bench: rewardbench/models/grm.py, GRewardModel",
    about="A linear head or an MLP with ReLU on the last hidden state of the last token; the language model's own head is not used.",
    text="the tokenizer's chat template: rewardbench/models/grm.py and the model cards, whose code may add a second BOS",
    recognises=_is_grm,
    head=lambda config, weights: dense(weights, HEAD),
)

TRL = Family(
    title="TRL value head",
    source="huggingface/trl: trl/models/modeling_value_head.py, AutoModelForCausalLMWithValueHead",
    about="A linear head on the last hidden state of a language model, read at the last token, as trlx and TRL's PPO saved reward models.",
    text="the tokenizer's chat template, else prompt and response as they are: TRL leaves the text to whoever trains",
    recognises=_is_trl,
    head=lambda config, weights: dense(weights, HEAD),
)
