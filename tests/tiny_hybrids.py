"""Tiny random models of which not every layer attends: linear, recurrent and convolutional layers stand between, or beside."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.load import load_reward_model

SIZES = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
SIZES |= {"max_position_embeddings": 512, "head_dim": 12}
DELTA = dict(linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=12, linear_value_head_dim=12)
MAMBA2 = dict(mamba_n_heads=8, mamba_d_head=12, mamba_n_groups=1, mamba_d_state=8, mamba_chunk_size=16)
EXPERTS = dict(num_experts=2, num_experts_per_tok=1)
EVERY_SECOND = ["linear_attention", "full_attention"] * 2

KINDS: dict[str, dict[str, Any]] = {
    "qwen3_5_text": DELTA,
    "qwen3_next": {**DELTA, **EXPERTS, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    "jamba": {**EXPERTS, "attn_layer_period": 2, "attn_layer_offset": 0, "use_mamba_kernels": False, "mamba_d_state": 8},
    "zamba": {"n_mamba_heads": 2, "mamba_d_state": 8, "use_mamba_kernels": False, "attention_hidden_size": 96,
              "attention_head_dim": 24, "layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"n_mamba_heads": 8, "mamba_headdim": 12, "mamba_ngroups": 1, "mamba_d_state": 8, "chunk_size": 16,
               "use_mem_eff_path": False, "num_mem_blocks": 1, "layers_block_type": ["mamba", "hybrid"] * 2},
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "state_size": 8, "n_groups": 1, "chunk_size": 16},
    "falcon_h1": {**MAMBA2, "mamba_d_ssm": 96},
    "bamba": {**MAMBA2, "attn_layer_indices": [1, 3]},
    "granitemoehybrid": {**MAMBA2, "layer_types": EVERY_SECOND, "num_local_experts": 0, "shared_intermediate_size": 96},
    "recurrent_gemma": {"lru_width": 48, "attention_window_size": 64, "block_types": ["recurrent", "attention"]},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "nemotron_h": {"layers_block_type": ["mamba", "attention"] * 2, "mamba_num_heads": 8, "mamba_head_dim": 12,
                   "n_groups": 1, "ssm_state_size": 8, "chunk_size": 16},
    "minimax": {"layer_types": EVERY_SECOND, "num_local_experts": 2, "num_experts_per_tok": 1, "block_size": 16},
}  # fmt: skip


def save(folder: Path, kind: str) -> Path:
    """A trunk with a linear head of TRL's names, which any architecture can have, and about one unit between its scores."""
    tok = tiny.tokenizer()
    own = {"vocab_size": len(tok), "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
    config = CONFIG_MAPPING[kind](**{**SIZES, **KINDS[kind], **own})
    torch.manual_seed(1)
    trunk = AutoModel.from_config(config).eval()
    tiny.draw_weights(trunk)
    with torch.no_grad():
        weight = torch.randn(1, 48)
        weight /= (trunk(torch.randint(5, len(tok), (1, 64)), use_cache=False).last_hidden_state @ weight[0]).std()
    trunk.save_pretrained(folder)
    whole = tiny.transformers.AutoModelForCausalLM.from_config(config)
    whole.base_model.load_state_dict(trunk.state_dict())
    whole.save_pretrained(folder)
    tensors = {"v_head.summary.weight": weight, "v_head.summary.bias": torch.zeros(1)}
    for file in folder.glob("*.safetensors"):
        save_file({**load_file(file), **tensors}, file, {"format": "pt"})
    tok.save_pretrained(folder)
    return folder


@cache
def model(kind: str) -> RewardModel:
    """The model loaded on the CPU, once per session. Do not change it."""
    return load_reward_model(str(save(Path(tempfile.mkdtemp(dir=tiny._FOLDER)), kind)), device="cpu")
