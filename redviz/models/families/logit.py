"""A language model whose score is a logit of its next token: Nemotron-70B-Reward, or any model and token that ``head`` names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from redviz.errors import RedvizError
from redviz.models.families.family import Described, RewardModule
from redviz.models.loading.checkpoint import check_weights, pretrained

PREFIX = "logit:"
ASK = "{% set add_generation_prompt = true %}"
DESCRIBED = Described(
    title="Logit of a language model (Nemotron reward)",
    source="nvidia/Llama-3.1-Nemotron-70B-Reward-HF: model card (the logit of token 0 at the first generated position)",
    about="--head logit:0 reads the logit of a token, logit:+|- of one less another, where the text after the next generation prompt "
    "would begin.",
    text="the tokenizer's chat template up to the next generation prompt: model card",
    curve="one pass; only closed prefixes (red_closed) end in a generation prompt",
)


class Logits(nn.Module):
    """Rows of a language model's output layer, capped as the model caps them: hidden states ``[..., D]`` to logits ``[..., K]``."""

    def __init__(self, rows: Tensor, bias: Tensor | None, cap: float | None) -> None:
        super().__init__()
        self.rows = nn.Linear(rows.shape[1], rows.shape[0], bias=bias is not None)
        self.cap = cap
        with torch.no_grad():
            self.rows.weight.copy_(rows)
            if bias is not None:
                self.rows.bias.copy_(bias)

    def forward(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.rows(hidden)
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def asked_tokens(head: str | int | None) -> tuple[str, ...]:
    """The tokens that ``head`` names, () where it names none.

    >>> asked_tokens("logit:0"), asked_tokens("logit:+|-"), asked_tokens("score")
    (('0',), ('+', '-'), ())
    """
    text = str(head)
    return tuple(text.removeprefix(PREFIX).split("|")) if text.startswith(PREFIX) else ()


def build(
    folder: Path, name: str, tokenizer: Any, head: str | int | None, dtype: Any, options: dict[str, Any]
) -> RewardModule:
    """The language model with one or two rows of its output layer as the head: the logit, or both for a difference.

    Raises
    ------
    RedvizError
        Where the tokenizer has no chat template to ask through, a token is none, or weights are missing.
    """
    if not tokenizer.chat_template or "add_generation_prompt" not in str(tokenizer.chat_template):
        raise RedvizError(
            f"{name} has no chat template with a generation prompt, so there is no place where the logit would be read; "
            "save the template with the tokenizer."
        )
    ids = [token_id(tokenizer, text, name) for text in asked_tokens(head)]
    module, report = pretrained(AutoModelForCausalLM, folder, name, dtype, options)
    check_weights(report, name, AutoModelForCausalLM)
    return RewardModule(module.base_model, rows_of(module, ids), tuple(f"logit {text}" for text in asked_tokens(head)))


def rows_of(module: Any, ids: list[int]) -> Logits:
    """The rows of a language model's output layer that give these tokens' logits, in float32."""
    layer = module.get_output_embeddings()
    if not layer.weight.is_floating_point():
        raise RedvizError(
            f"{module.name_or_path}'s output layer is saved in few bits, which have no rows to read; save it with lm_head whole "
            "(llm_int8_skip_modules)."
        )
    bias = getattr(layer, "bias", None)
    with torch.no_grad():
        rows = layer.weight[ids].float().cpu()
        cap = getattr(module.config.get_text_config(), "final_logit_softcapping", None)
        scale = getattr(module.config.get_text_config(), "logit_scale", None)
        found = Logits(rows * (scale or 1.0), None if bias is None else bias[ids].float().cpu(), cap)
    return found.requires_grad_(False)


def token_id(tokenizer: Any, text: str, name: str) -> int:
    """An id by its number, or the one token of a text."""
    if re.fullmatch(r"\d+", text):
        if int(text) < len(tokenizer):
            return int(text)
        raise RedvizError(f"{name} has {len(tokenizer)} tokens, so there is no token {text}; name another.")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise RedvizError(f"{text!r} is {len(ids)} tokens for {name}; name one token, by its text or its id.")
    return int(ids[0])
