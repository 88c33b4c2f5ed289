"""Critics: value models as PPO trains them, and their values at a reward model's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from redviz.errors import RedvizError
from redviz.models.families.heads import linear
from redviz.models.families.value_heads import HEAD
from redviz.models.kinds.policy import load_policy
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.files import resolve
from redviz.models.loading.load import load_reward_model
from redviz.models.loading.weights import weights_of
from redviz.models.reading.alignment import tokens_read
from redviz.models.running.observe import observe
from redviz.records import Array, Encoding


def load_value_model(
    name: str,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    max_length: int | None = None,
    template: str | None = None,
) -> RewardModel:
    """Load a critic: a value at every token.

    Parameters
    ----------
    name
        A local folder or a Hub id: a sequence-classification model with one label (the value model of TRL's PPO), or a causal
        language model saved with TRL's value head (``v_head.summary`` beside its weights, in safetensors).
    device, dtype, revision, trust_remote_code, allow_pickle, max_length, template
        As in :func:`redviz.load_reward_model`.

    Returns
    -------
    RewardModel
        Its head gives V where a reward model's gives a score; of a value head on a language model ``own_scores`` means nothing.

    Raises
    ------
    RedvizError
        As :func:`redviz.load_reward_model` and :func:`redviz.models.kinds.policy.load_policy` do.
    """
    how: dict[str, Any] = {
        "device": device, "dtype": dtype, "revision": revision, "trust_remote_code": trust_remote_code,
        "allow_pickle": allow_pickle, "max_length": max_length, "template": template,
    }  # fmt: skip
    head = _value_head(resolve(name, revision, allow_pickle), name)
    if head is None:
        model = load_reward_model(name, **how)
        if not isinstance(model, RewardModel):
            raise RedvizError(f"{name} scores steps, so it gives no value of every token; give another critic.")
        return model
    policy = load_policy(name, **how)
    width = policy.module.get_output_embeddings().weight.shape[1]
    if head.weight.shape != (1, width):
        raise RedvizError(
            f"{name} has a value head of shape {tuple(head.weight.shape)} and hidden states of width {width}; save the model again."
        )
    head.eval().to(policy.device)
    mix = torch.ones(1, device=policy.device)
    return RewardModel(
        name,
        policy.module,
        policy.tokenizer,
        head,
        mix,
        policy.max_length,
        policy.source,
        trained_length=policy.trained_length,
        read="last",
        forwards=policy.forwards,
    )


def critic_values(value_model: RewardModel, encoding: Encoding) -> Array:
    """The critic's ``V(s_t)`` before each token of a reward model: ``[T]`` float32. One forward pass.

    V of token t is read at the column before it, where nothing of the token is known yet. Where the critic's tokens are others, it
    is read after its last token that ends at or before the start of each of the reward model's.

    Parameters
    ----------
    value_model
        From :func:`load_value_model`.
    encoding
        The example as the reward model reads it.
    """
    own = value_model.encode(encoding.example)
    if own.truncated and own.offsets[-1][1] < encoding.offsets[-1][1]:
        raise RedvizError(
            f"The critic {value_model.name} can read only {len(own.offsets)} of the response's tokens; "
            "give a critic with a longer context, or a shorter response."
        )
    (seen,) = observe(value_model, [own], attention=False)
    values: Array = seen.prefix_scores[tokens_read(own.offsets, encoding.offsets)[:-1]].astype(np.float32)  # [T]
    return values


def _value_head(folder: Path, name: str) -> nn.Linear | None:
    """TRL's value head, or None where the folder holds none."""
    weights = weights_of(folder, name)
    held = weights.starting(f"{HEAD}.")
    if not held:
        return None
    if set(held) != {f"{HEAD}.weight", f"{HEAD}.bias"}:
        raise RedvizError(
            f"{name} holds only {', '.join(held)} of a value head; save it with TRL's AutoModelForCausalLMWithValueHead."
        )
    return linear(weights, HEAD)
