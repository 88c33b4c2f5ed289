"""PairRM: a DeBERTa that reads a prompt and two responses as one text, and scores the first over the second.

The text is ``[CLS] <|source|> prompt [SEP] [CLS] <|candidate1|> one [SEP] [CLS] <|candidate2|> two [SEP]``, each part cut at a length of
its own. The head scores each response from the hidden states at its mark and at the prompt's; the margin is their difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from redviz.errors import OnlyPairs, RedvizError
from redviz.models.families.family import Config, Described
from redviz.models.families.heads import linear
from redviz.models.loading.checkpoint import check_weights, pretrained
from redviz.models.loading.weights import Weights
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.micro_batches import in_batches, padded
from redviz.records import Array

TRUNK, HEAD = "pretrained_model.", "head_layer."
MARKS = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")  # of config.json
CONTEXT, CANDIDATE = 2048, 412  # tokens in all, and of each response where the prompt fills its own part: the card's

DESCRIBED = Described(
    title="PairRM",
    source="yuchenlin/LLM-Blender: llm_blender/pair_ranker/pairrm.py, DebertaV2PairRM; llm-blender/PairRM-hf: model card, tokenize_pair",
    about="Scores a pair, in both orders, and gives no score to one response: Compare and redviz compare show margins and a ranking.",
    text="[CLS] <|source|> prompt [SEP] [CLS] <|candidate1|> … [SEP] [CLS] <|candidate2|> … [SEP]: model card, tokenize_pair",
    curve="none",
)


@dataclass(frozen=True)
class PairRow:
    """A prompt and two responses as one text: its ids, and the columns of the three marks in it."""

    ids: Sequence[int]  # [L]
    marks: tuple[int, ...]  # [3]


class PairModule(nn.Module):
    """A DeBERTa trunk and the head that scores each of two responses, in float32."""

    def __init__(self, trunk: Any, head: nn.Module) -> None:
        super().__init__()
        self.base_model, self.head_layer = trunk, head
        self.config: Any = trunk.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, marks: Tensor) -> Tensor:
        """The margin of the first response over the second: ids and mask ``[B, L]``, columns of marks ``[B, 3] -> [B]``."""
        hidden = self.base_model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state.float()  # [B, L, D]
        rows = torch.arange(len(hidden), device=hidden.device)
        source, one, two = (hidden[rows, column] for column in marks.unbind(1))  # [B, D] each
        left, right = (self.head_layer(torch.cat([source, own], -1)) for own in (one, two))  # [B, tasks] each
        margins: Tensor = (left - right).mean(-1)
        return margins


def is_pair_scorer(weights: Weights) -> bool:
    """Whether the names of the tensors are PairRM's."""
    names = {f"{HEAD}1.weight", f"{HEAD}4.weight"}
    return names <= set(weights.starting(HEAD)) and bool(weights.starting(TRUNK))


def refusal(name: str) -> OnlyPairs:
    """What is said where the score of one response is asked for."""
    return OnlyPairs(
        f"{name} scores pairs of responses, and gives no score to one; use Compare or `redviz compare`, with two to six responses."
    )


def build(folder: Path, config: Config, weights: Weights, dtype: torch.dtype | str) -> PairModule:
    """The module, on the CPU.

    Raises
    ------
    RedvizError
        Where config.json does not name the marks, weights are missing, or the head does not fit the trunk.
    """
    name = weights.name
    if config.get("model_type") != "deberta-v2" or any(not isinstance(config.get(mark), int) for mark in MARKS):
        raise RedvizError(
            f"{name} holds a pair scorer's weights, but its config.json is no deberta-v2 one with {', '.join(MARKS)}; "
            "give its version for Transformers (such as llm-blender/PairRM-hf)."
        )
    known = {key: value for key, value in config.items() if key not in ("model_type", "auto_map", "architectures")}
    own = CONFIG_MAPPING["deberta-v2"].from_dict(known)
    options = {"config": own, "key_mapping": {rf"^{TRUNK[:-1]}\.": ""}}
    trunk, report = pretrained(AutoModel, folder, name, dtype, options)
    first, last = linear(weights, f"{HEAD}1"), linear(weights, f"{HEAD}4")
    check_weights({**report, "unexpected_keys": set(report["unexpected_keys"]) - weights.taken}, name)
    if (first.in_features, first.out_features) != (2 * own.hidden_size, last.in_features):
        raise RedvizError(
            f"{name} has a head of {first.in_features} to {first.out_features} to {last.out_features} on a trunk of width "
            f"{own.hidden_size}; save the model again."
        )
    return PairModule(trunk, nn.Sequential(first, nn.Tanh(), last)).eval().requires_grad_(False)


@torch.inference_mode()
def pair_margins(
    module: PairModule, rows: Sequence[PairRow], pad: int, progress: Progress | None = None
) -> tuple[Array, int]:
    """The margin of each row, ``[B]`` float32 in the order given, and how many forward passes that took.

    Raises
    ------
    RedvizError
        Where one row does not fit memory.
    """
    device = next(module.parameters()).device
    passes = 0

    def run(batch: Sequence[int]) -> Array:
        nonlocal passes
        passes += 1
        ids, mask = padded([rows[i].ids for i in batch], pad)  # [B, L]
        marks = torch.tensor([rows[i].marks for i in batch])
        margins: Array = module(ids.to(device), mask.to(device), marks.to(device)).cpu().numpy()  # [B]
        return margins

    margins = in_batches(
        [len(row.ids) for row in rows],
        at_once("forward", device),
        run,
        lambda i: f"Memory ran out on one pair of {len(rows[i].ids)} tokens; use shorter responses or a smaller dtype.",
        progress,
    )
    return np.array(margins, np.float32), passes


def conversation(turns: Sequence[tuple[str, str]], response: str, name: str) -> tuple[str, str]:
    """The prompt's part and a response's part of the text, from (role, content) turns.

    One turn of the user is given as it is. Longer conversations are written as the authors' ``tokenize_conv_pair`` does: the answers
    to earlier turns stand before the response.

    Raises
    ------
    RedvizError
        Where user and assistant do not take turns.
    """
    roles = [role for role, _ in turns]
    if roles == ["user"]:
        return turns[0][1], response
    if len(roles) % 2 == 0 or roles != [("user", "assistant")[i % 2] for i in range(len(roles))]:
        raise RedvizError(
            f"{name} reads turns of user and assistant, the user's first and last, and this prompt has {', '.join(roles) or 'none'}; "
            "leave the others out."
        )
    asked, answers = [text for _, text in turns[::2]], [*(text for _, text in turns[1::2]), response]
    told = "\n".join(f"USER: {text}\nAssistant: <Response {i}>" for i, text in enumerate(asked, 1))
    instruction = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."  # their spelling
    return instruction + told, "\n".join(f"<Response {i}>: {text}" for i, text in enumerate(answers, 1))
