"""InternLM2-reward: a Llama in other names, with queries, keys and values in one matrix, read at a token of its own."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.families.family import Config, Family
from redviz.models.families.heads import linear
from redviz.models.loading.weights import Weights

NAMES = {
    "tok_embeddings": "embed_tokens",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def _trunk(config: Config, weights: Weights) -> dict[str, Tensor]:
    """Their tensors under Llama's names, and ``wqkv`` ``[H_kv * (g + 2) * d, D]`` taken apart: g queries, a key, a value per group."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights.read(weights.starting("model.")).items():
        own = name.removeprefix("model.")
        if "attention.wqkv" in own:
            tensors |= _apart(config, own, tensor)
            continue
        for theirs, ours in NAMES.items():
            own = re.sub(rf"(^|\.){re.escape(theirs)}\.", rf"\g<1>{ours}.", own)
        tensors[own] = tensor
    return tensors


def _apart(config: Config, name: str, tensor: Tensor) -> dict[str, Tensor]:
    heads, groups = (
        int(config["num_attention_heads"]),
        int(config.get("num_key_value_heads") or config["num_attention_heads"]),
    )
    each = heads // groups
    width = tensor.shape[0] // (groups * (each + 2))  # d
    if tensor.shape[0] != groups * (each + 2) * width:
        raise RedvizError(
            f"wqkv has {tensor.shape[0]} rows, which {heads} heads in {groups} groups do not divide; check config.json."
        )
    parts = tensor.reshape(groups, each + 2, width, *tensor.shape[1:])  # [H_kv, g+2, d, D]
    split = {"q_proj": parts[:, :each], "k_proj": parts[:, each : each + 1], "v_proj": parts[:, each + 1 :]}
    place, kind = name.split("attention.wqkv.")
    return {
        f"{place}self_attn.{key}.{kind}": part.reshape(-1, *tensor.shape[1:]).contiguous()
        for key, part in split.items()
    }


def _reward_token(config: Config) -> int | None:
    token: Any = config.get("reward_token_id")
    return None if token is None else int(token)


FAMILY = Family(
    title="InternLM2-reward",
    source="internlm/internlm2-7b-reward: modeling_internlm2.py, InternLM2ForRewardModel.get_score "
    "(as in allenai/reward-bench: rewardbench/models/internlm.py)",
    about="A reward token (reward_token_id in config.json) is put behind the conversation, and the score read there.",
    text="the tokenizer's chat template and the reward token, no BOS but the template's: modeling_internlm2.py, get_score and "
    "get_conversation_str",
    recognises=lambda config, weights: config.get("model_type") == "internlm2" and "v_head.weight" in weights,
    head=lambda config, weights: linear(weights, "v_head"),
    kinds=("internlm2",),
    trunk_type="llama",
    trunk=_trunk,
    beside=(r"^output\.weight$",),
    appended=_reward_token,
    curve="one pass; only closed prefixes (red_closed) end in the reward token",
    open_means="It was only trained to be read at its reward token, so open prefix scores mean little; use red_closed.",
)
