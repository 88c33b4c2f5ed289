"""A sequence classifier taken apart: its head as a function of one hidden state, and which column it reads; found by trying."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.precision import MIXED
from redviz.models.reading.known_tokens import check_known
from redviz.models.reading.pairs import joins_pairs
from redviz.models.running.both_ways import Row, embedded, rows_scores
from redviz.models.running.tail import PromptCache, hidden_after, keys_and_values
from redviz.records import Example

PROBE = "Review the film."
ANSWER = "A warm, funny film, and the lead is superb."
KNOWN = (
    "redviz reads heads called score, at the last token, and those of BERT, DeBERTa, ELECTRA and RoBERTa, at the first"
)
REUSED = 0.01  # of their spread: by how much hidden states may differ where keys and values are reused
MOVES = 1e-5  # of the spread of the hidden states; in a causal model it is rounding alone


class FirstTokenHead(nn.Module):
    """A model's own pooler and classifier, made for the first token, as a function of any hidden state: ``[..., D] -> [..., K]``."""

    def __init__(self, pooler: nn.Module | None, classifier: nn.Module) -> None:
        super().__init__()
        self.pooler, self.classifier = copy.deepcopy(pooler), copy.deepcopy(classifier)

    def forward(self, hidden: Tensor) -> Tensor:
        given = hidden.reshape(-1, 1, hidden.shape[-1])  # [N, 1, D]: each its own text's first token
        labels: Tensor = self.classifier(given if self.pooler is None else self.pooler(given))  # [N, K]
        return labels.reshape(*hidden.shape[:-1], -1)


def split(module: Any, name: str) -> tuple[Any, bool]:
    """The head in float32, and whether it reads the first token; else the score is read at the last.

    Dropout is off, as in all of the model. That the head is the model's own is found out by :func:`tried`.

    Raises
    ------
    RedvizError
        Where the model has neither a ``score`` nor a ``classifier``.
    """
    if hasattr(module, "score"):
        return copy.deepcopy(module.score).float(), False
    if isinstance(classifier := getattr(module, "classifier", None), nn.Module):
        pooler = getattr(module, "pooler", None) or getattr(module.base_model, "pooler", None)
        return FirstTokenHead(pooler, classifier).float().eval(), True
    raise RedvizError(f"{name} is a {type(module).__name__}; {KNOWN}.")


def tried(model: RewardModel) -> RewardModel:
    """The same model, with what a few short forward passes show: whether it looks both ways and reads pairs.

    Raises
    ------
    RedvizError
        Where the model reads the first token and sees nothing else there, or where its own forward gives another score than its
        head does.
    """
    model.both_ways = sees_ahead(model)
    if model.first and not model.both_ways:
        raise RedvizError(
            f"{model.name} reads its score at the first token, which sees no other; use the checkpoint that was trained as a "
            "reward model."
        )
    model.pairs = model.both_ways and joins_pairs(model.tokenizer)
    model.max_length = min(model.max_length, places(model.module))
    if model.both_ways:
        _check_head(model)
    else:
        model.reuses = reuses_keys(model)
    model.forwards = 0
    return model


@torch.inference_mode()
def sees_ahead(model: Any) -> bool:
    """Whether other tokens in the second half of a text move hidden states of its first half."""
    ids = torch.as_tensor(model.tokenizer(f"{PROBE} {ANSWER}")["input_ids"], device=model.device)  # [L]
    check_known(model.module, model.tokenizer, ids.cpu().numpy(), model.name)
    half = len(ids) // 2
    changed = torch.cat([ids[:half], ids[half:].flip(0)])
    one, two = (
        model.run(input_ids=given[None], attention_mask=torch.ones_like(given)[None], use_cache=False)
        .last_hidden_state[0]
        .float()
        for given in (ids, changed)
    )  # [L, D] each
    noise = MIXED if model.source.dtype == "8bit" else 4 * torch.finfo(model.dtype).eps
    allowed = max(MOVES, noise)
    return bool((one - two)[:half].abs().max() > allowed * one.std())


@torch.no_grad()
def reuses_keys(model: RewardModel) -> bool:
    """Whether keys and values of the first half of a text give the second half the hidden states that it has in one pass.

    Recurrent and convolutional layers carry a state, which Transformers keeps in caches of other kinds, or which is lost. Where
    nothing can be reused every pass runs the whole text, which is right in any case.
    """
    ids = torch.as_tensor(model.tokenizer(f"{PROBE} {ANSWER}")["input_ids"], device=model.device)[None]  # [1, L]
    half = ids.shape[1] // 2
    try:
        whole = model.run(input_ids=ids, use_cache=False).last_hidden_state[:, half:].float()  # [1, L - half, D]
        found = keys_and_values(model, ids[:, :half])
        if found is None:
            return False
        cache = PromptCache(found[1], half, found[0] if model.pooled else None)
        again = hidden_after(model, cache, model.module.get_input_embeddings()(ids[:, half:])).float()
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError):
        return False
    noise = MIXED if model.source.dtype == "8bit" else 32 * torch.finfo(model.dtype).eps
    return bool((whole - again).abs().max() <= max(REUSED, noise) * whole.std())


def places(module: Any) -> int:
    """How many positions there are where RoBERTa and its kin count them from the one after the padding's; else a large number."""
    tables = [part for name, part in module.named_modules() if name.endswith("embeddings.position_embeddings")]
    return min((t.num_embeddings - t.padding_idx - 1 for t in tables if t.padding_idx is not None), default=2**31)


def _check_head(model: RewardModel) -> None:
    """The model's own forward against its head on the first token, alone and beside a longer text."""
    encodings = [model.encode(Example(PROBE, response)) for response in (ANSWER, f"{ANSWER} {ANSWER}")]
    rows = [Row.of(model, encoding) for encoding in encodings]
    try:
        theirs = torch.stack([own_score(model, row) for row in rows])  # [2]
        ours = torch.as_tensor(rows_scores(model, rows))  # [2]: the first is padded
        whole = embedded(model, encodings[0])
        with torch.no_grad():
            again = whole.scores(model, whole.embeddings[:, whole.response]).cpu()  # [1]
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RedvizError(f"{model.name} is a {type(model.module).__name__}; {KNOWN}.") from error
    allowed = max(1e-3, 32 * torch.finfo(model.dtype).eps) * max(1.0, float(theirs.abs().max()))
    theirs = theirs.cpu()
    if not float(torch.cat([theirs - ours, theirs[:1] - again]).abs().max()) <= allowed:
        raise RedvizError(
            f"{model.name} is a {type(model.module).__name__}, whose own forward scores {float(theirs[0]):.4g} where its head on "
            f"the first token gives {float(ours[0]):.4g}; {KNOWN}."
        )


@torch.inference_mode()
def own_score(model: RewardModel, row: Row) -> Tensor:
    """The model's own forward on one text, head and pooling untouched: a scalar, float32."""
    model.forwards += 1
    given: Tensor = model.module(**row.inputs(model)).logits[0].float() @ model.mix
    return given
