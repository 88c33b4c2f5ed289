"""A sequence classifier taken apart: its head as a function of one hidden state, and which column it reads; found by trying."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.checkpoint import first_line
from redviz.models.loading.precision import MIXED
from redviz.models.reading.known_tokens import check_known
from redviz.models.reading.pairs import joins_pairs
from redviz.models.running.both_ways import Row, embedded, rows_scores
from redviz.models.running.finite import finite
from redviz.models.running.own_forward import decodes, heeds_masks, own_labels, rounding, same
from redviz.models.running.tail import PromptCache, hidden_after, keys_and_values
from redviz.records import Example

PROBE = "Review the film."
ANSWER = "A warm, funny film, and the lead is superb."
KNOWN = "redviz reads heads called score, at the last token, and encoders whose own forward scores a text given as ids and a mask"
BLIND = (
    "reads its score at the first token, which sees no other; use the checkpoint that was trained as a reward model."
)
FAILS = (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError, NotImplementedError)
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


def split(module: Any) -> tuple[Any, bool]:
    """The head in float32, and whether it reads the first token; else the score is read at the last.

    Dropout is off, as in all of the model. That the head is the model's own is found out by :func:`tried`. None where the model has
    neither a ``score`` nor a ``classifier``: its own forward is all there is.
    """
    if hasattr(module, "score"):
        return copy.deepcopy(module.score).float(), False
    if isinstance(classifier := getattr(module, "classifier", None), nn.Module):
        pooler = getattr(module, "pooler", None) or getattr(module.base_model, "pooler", None)
        return FirstTokenHead(pooler, classifier).float().eval(), True
    return None, False


def tried(model: RewardModel) -> RewardModel:
    """The same model, with what a few short forward passes show: whether it looks both ways and reads pairs, and what scores a text.

    Raises
    ------
    RedvizError
        Where the model reads the first token and sees nothing else there, or where its own forward gives no score of a text.
    """
    model.own_forward = model.head is None or decodes(model.module)
    if not model.own_forward:
        try:
            model.both_ways = sees_ahead(model)
        except FAILS:
            model.own_forward = True
    model.both_ways = model.both_ways or model.own_forward
    model.max_length = min(model.max_length, places(model.module))
    model.pairs = model.both_ways and joins_pairs(model.tokenizer)
    if model.first and not model.both_ways:
        finite(model.source, "the score of a text", _two_scores(model, _two_texts(model)).cpu().numpy())
        raise RedvizError(f"{model.name} {BLIND}")
    if model.both_ways and not (not model.own_forward and _heads_agree(model)):
        _read_by_own_forward(model)
    if not model.both_ways:
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
    except FAILS:
        return False
    noise = MIXED if model.source.dtype == "8bit" else 32 * torch.finfo(model.dtype).eps
    return bool((whole - again).abs().max() <= max(REUSED, noise) * whole.std())


def places(module: Any) -> int:
    """How many positions there are where RoBERTa and its kin count them from the one after the padding's; else a large number."""
    tables = [part for name, part in module.named_modules() if name.endswith("embeddings.position_embeddings")]
    return min((t.num_embeddings - t.padding_idx - 1 for t in tables if t.padding_idx is not None), default=2**31)


def _two_texts(model: RewardModel) -> list[Row]:
    """Two responses to one prompt, the second longer, as the model reads them."""
    return [Row.of(model, model.encode(Example(PROBE, response))) for response in (ANSWER, f"{ANSWER} {ANSWER}")]


def _two_scores(model: RewardModel, rows: list[Row]) -> Tensor:
    """The model's own forward on each of two texts alone: ``[2]`` float32."""
    return torch.stack([own_score(model, row) for row in rows]).cpu()


def _heads_agree(model: RewardModel) -> bool:
    """Whether the head on one hidden state gives what the model's own forward does: alone, padded, and from embeddings."""
    try:
        rows = _two_texts(model)
        theirs, ours = _two_scores(model, rows), torch.as_tensor(rows_scores(model, rows))  # [2]: the first is padded
        return same(theirs, ours, rounding(model)) and same(theirs[:1], _of_embeddings(model), rounding(model))
    except FAILS:
        return False


@torch.no_grad()
def _of_embeddings(model: RewardModel) -> Tensor:
    """The score of the first of the two texts, given as embeddings: ``[1]``."""
    whole = embedded(model, model.encode(Example(PROBE, ANSWER)))
    return whole.scores(model, whole.embeddings[:, whole.response]).cpu()


def _read_by_own_forward(model: RewardModel) -> None:
    """Find out what the model's own forward takes: texts by themselves, padding, embeddings.

    Raises
    ------
    RedvizError
        Where it takes no text by itself, gives other scores when it is asked again, or does not mind what the text says.
    """
    kind = type(model.module).__name__
    model.own_forward, model.takes_padding = True, heeds_masks(model.module)
    if not model.first:
        model.read = "last"
    model.module.set_attn_implementation("sdpa" if model.module._supports_sdpa else "eager")  # no rows of it are read
    rows = _two_texts(model)
    try:
        theirs, again = (_two_scores(model, rows) for _ in range(2))
    except FAILS as error:
        raise RedvizError(
            f"{model.name} is a {kind}, whose own forward scores no text by itself ({first_line(error)}); {KNOWN}."
        ) from error
    finite(model.source, "the score of a text", theirs.numpy())
    if not same(theirs, again, rounding(model)):
        raise RedvizError(
            f"{model.name} is a {kind}, which scores one text {theirs[0]:.4g} and then {again[0]:.4g}; use another model."
        )
    if theirs[0] == theirs[1]:
        raise RedvizError(f"{model.name} {BLIND}")
    model.takes_padding = model.takes_padding and _agrees(
        theirs, lambda: torch.as_tensor(rows_scores(model, rows)), model
    )
    model.takes_embeddings = _agrees(theirs[:1], lambda: _of_embeddings(model), model)


def _agrees(theirs: Tensor, ask: Callable[[], Tensor], model: RewardModel) -> bool:
    """Whether another way of asking gives the same scores; false where it fails."""
    try:
        return same(theirs, ask(), rounding(model))
    except FAILS:
        return False


@torch.inference_mode()
def own_score(model: RewardModel, row: Row) -> Tensor:
    """The model's own forward on one text, head and pooling untouched: a scalar, float32."""
    given: Tensor = (own_labels(model, row.inputs(model)) @ model.mix)[0]
    return given
