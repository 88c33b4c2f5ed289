"""Closed prefixes: the score of every prefix followed by the template's closing tokens, without running any prefix twice.

One pass over the prompt and the response leaves every layer's keys and values. The closing tokens of all prefixes then run packed,
many prefixes in one row: those of prefix t see the columns before t and each other, which a 4-D mask says. Only as many prefixes
run at once as keep that mask small, and none of them sees keys past its chunk, so memory is linear in the response's length.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.micro_batches import micro_batches
from redviz.models.running.observe import observe
from redviz.models.running.pooling import packed
from redviz.models.running.tail import Layers, keys_and_values
from redviz.records import Array, Encoding

KINDS = ("full_attention", "sliding_attention")
REFUSAL = "does not let the prefixes of a response share one pass over it (its attention is not one that a mask decides); use red."


def closing_ids(encoding: Encoding) -> Array:
    """What the template writes after the response, up to the column where the score is read: ``[s]`` int64, maybe empty."""
    return encoding.ids[encoding.stop : encoding.read + 1]


def closed_scores(model: RewardModel, encoding: Encoding, *, progress: Progress | None = None) -> Array:
    """Score every prefix of the response as a finished one: ``Q_t = R(prompt, y_<=t + closing tokens)``, ids joined as they are.

    Parameters
    ----------
    model, encoding
        A causal reward model, and one example encoded by it.
    progress
        Called with (prefixes done, T + 1) between micro-batches; may raise to cancel.

    Returns
    -------
    Array
        ``Q_0 .. Q_T``, ``[T+1]`` float32; ``Q_T`` is the model's own score. Where the template closes the response with nothing,
        these are the open prefix scores.

    Raises
    ------
    RedvizError
        Where a 4-D mask does not decide what the model's layers see (recurrent layers, ALiBi, attention in chunks), or memory
        runs out on a single prefix.
    """
    closing = closing_ids(encoding)
    if model.both_ways or not len(closing):  # a model that looks both ways has no other prefixes than closed ones
        return observe(model, [encoding], attention=False)[0].prefix_scores
    kinds = _windows(model)
    trunk, columns, means = _trunk(model, encoding)
    tokens = torch.as_tensor(closing, device=model.device)  # [s]
    total = encoding.stop - encoding.start + 1

    def run(prefixes: Sequence[int]) -> Tensor:
        try:
            return _chunk(model, trunk, tokens, encoding.start + prefixes[0], len(prefixes), kinds, means)  # [C]
        except ValueError as error:  # models that count positions from a 2-D mask (ALiBi)
            raise RedvizError(f"{model.name} {REFUSAL}") from error

    chunks = micro_batches(
        range(total),
        lambda _: at_once("closing", model.device) // len(closing),
        run,
        lambda _: "Memory ran out on a single closed prefix; use a shorter response or a smaller dtype.",
        progress,
    )
    closed: Array = torch.cat([scores for _, scores in chunks]).cpu().numpy()  # [T+1]
    slack = max(0.01, 32 * torch.finfo(model.dtype).eps) * float(columns.std())
    if not abs(closed[-1] - columns[-1]) <= slack:  # a model that ignores the mask, or adds to it, misses its own score
        raise RedvizError(f"{model.name} {REFUSAL}")
    return closed


@torch.inference_mode()
def _trunk(model: RewardModel, encoding: Encoding) -> tuple[Layers, Array, Tensor]:
    """One pass up to the reading column: every layer's keys and values, scores ``[L]`` float32, what the head reads ``[L, D]``."""
    ids = torch.as_tensor(encoding.ids[None, : encoding.read + 1], device=model.device)  # [1, L]
    found = keys_and_values(model, ids) if model.reuses else None
    if found is None:
        raise RedvizError(f"{model.name} {REFUSAL}")
    hidden, layers = found
    return layers, model.scores(hidden[0]).cpu().numpy(), hidden[0]


@torch.inference_mode()
def _chunk(
    model: RewardModel,
    trunk: Layers,
    closing: Tensor,
    first: int,
    count: int,
    kinds: dict[str, int | None],
    means: Tensor,
) -> Tensor:
    """Scores of the prefixes of ``first .. first + count - 1`` columns, each followed by the closing tokens: ``[C]`` float32."""
    seen = first + count - 1  # columns of the longest prefix here
    cache = DynamicCache([(k[:, :, :seen], v[:, :, :seen]) for k, v in trunk])
    lengths = torch.arange(first, first + count, device=closing.device)[:, None]  # [C, 1]
    places = (lengths + torch.arange(len(closing), device=closing.device)).reshape(1, -1)  # [1, C*s]
    masks = {kind: packed_mask(lengths, len(closing), seen, window, model.dtype) for kind, window in kinds.items()}
    hidden = model.run(
        input_ids=closing.repeat(count)[None],
        attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
        position_ids=places,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state  # [1, C*s, D]
    if model.pooled:
        return model.scores(packed(means, hidden[0], lengths, len(closing)))
    return model.scores(hidden[0, len(closing) - 1 :: len(closing)])


def packed_mask(lengths: Tensor, closing: int, seen: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """What each packed closing token may see, as an additive mask: ``[1, 1, C*s, seen + C*s]``.

    Parameters
    ----------
    lengths
        Columns of each prefix, ``[C, 1]`` int64.
    closing, seen
        The closing tokens of one prefix, s, and the shared columns whose keys are at hand.
    window
        A token sees only keys less than this many positions back; None means all of them.
    """
    count = len(lengths)
    step = torch.arange(closing, device=lengths.device)  # [s]
    columns = torch.arange(seen, device=lengths.device)  # [seen]
    shared = (columns < lengths)[:, None].expand(-1, closing, -1)  # [C, s, seen]
    own = torch.eye(count, dtype=torch.bool, device=lengths.device)[:, None, :, None]  # [C, 1, C, 1]
    own = own & (step <= step[:, None])[None, :, None]  # [C, s, C, s]
    if window is not None:
        shared = shared & ((lengths + step)[..., None] - columns < window)
        own = own & (step[:, None] - step < window)[None, :, None]
    allowed = torch.cat([shared, own.reshape(count, closing, -1)], -1).reshape(1, 1, count * closing, -1)
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)


def _windows(model: RewardModel) -> dict[str, int | None]:
    """The window of every kind of layer that the model has; Transformers takes a dict of masks where there are several."""
    config = model.module.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [KINDS[window is not None]])
    if not kinds <= set(KINDS):
        raise RedvizError(f"{model.name} {REFUSAL}")
    return {kind: window if kind == "sliding_attention" else None for kind in sorted(kinds)}
