"""A classifier of tokens as a reward model: every response token has a reward of its own, and the score is their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel, RewardFunction
from redviz.models.kinds.reward_model import positions
from redviz.models.reading.encode import encode
from redviz.models.reading.known_tokens import check_known, filler_id
from redviz.models.reading.pairs import joins_pairs
from redviz.models.running.budgets import at_once
from redviz.models.running.finite import finite
from redviz.models.running.micro_batches import in_batches, padded
from redviz.models.running.split import places, sees_ahead
from redviz.records import Array, Encoding, Example, Observation, Prompt

TRIED = Example("Review the film.", "A warm, funny film, and the lead is superb.")


@dataclass
class TokenRewards(FunctionModel):
    """Made by :func:`redviz.load_reward_model`; its tokens are the classifier's, and its score is the sum of their rewards.

    The reward of token t is the logit of the chosen label (or a difference of two) at token t. Of a causal model later tokens change
    no earlier reward, so ``P_t`` is the sum of the first t: no attribution is needed, ``red`` gives every token its own term. Of a
    model that looks both ways the prefix scores between ``P_0`` and the score are nan: each would take a pass over a text cut there.

    Attributes
    ----------
    module, tokenizer
        The Transformers model and its fast tokenizer.
    head
        Hidden states ``[..., D]`` to logits ``[..., K]``, in float32.
    mix
        ``[K]`` float32: how the logits of a token make its reward (one-hot, or +1 and -1 for a difference).
    both_ways
        Whether a token sees later ones; found out by trying at load.
    pairs
        Whether prompt and response are encoded as two segments.
    """

    function: RewardFunction = field(init=False, repr=False)
    split: str = field(init=False, default="token")
    module: Any = field(kw_only=True, repr=False)
    tokenizer: Any = field(kw_only=True, repr=False)
    head: Any = field(kw_only=True, repr=False)
    mix: Tensor = field(kw_only=True, repr=False)
    both_ways: bool = field(kw_only=True, default=False)
    pairs: bool = field(kw_only=True, default=False)
    trained_length: int | None = field(kw_only=True, default=None)
    unit: ClassVar[str] = "token"

    def __post_init__(self) -> None:
        self.function = lambda prompt, response: float(self.score_texts(prompt, [response])[0])

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    def encode(self, example: Example) -> Encoding:
        """Ids, span and offsets of one example; nothing behind the response belongs to the score."""
        encoding = encode(self.tokenizer, example, max_length=self.max_length, read="last", pairs=self.pairs)
        check_known(self.module, self.tokenizer, encoding.ids, self.name)
        notices = (*encoding.notices, self._meaning())
        if self.trained_length and len(encoding.ids) > self.trained_length:
            notices += (
                f"This text has {len(encoding.ids)} tokens; the model was trained on lengths up to {self.trained_length}.",
            )
        return replace(encoding, read=encoding.stop - 1, notices=notices)

    def _meaning(self) -> str:
        named = [(float(part), name) for part, name in zip(self.mix, self.source.heads, strict=True) if part]
        logits = " less ".join(f"the logit of {name}" for _, name in sorted(named, reverse=True))
        return f"The score is the sum of the response tokens' own rewards, each {logits}."

    def observe(self, encoding: Encoding) -> Observation:
        """One forward pass: every token's reward and, of a causal model, every prefix score."""
        return self.observe_all([encoding])[0]

    def observe_all(self, encodings: Sequence[Encoding]) -> list[Observation]:
        """:meth:`observe` for several, in padded passes of like length."""
        return [self._seen(e, labels) for e, labels in zip(encodings, self.label_rewards(encodings), strict=True)]

    def _seen(self, encoding: Encoding, labels: Array) -> Observation:
        """What the logits of a response's tokens, ``[T, K]``, say of it."""
        terms = np.column_stack([labels @ self.mix.cpu().numpy(), labels]).astype(np.float64)  # [T, 1+K]
        sums = np.concatenate([np.zeros((1, terms.shape[1])), terms.cumsum(0)])  # [T+1, 1+K]
        if self.both_ways:
            sums[1:-1] = np.nan
        columns = np.full((len(encoding.ids), terms.shape[1]), np.nan, np.float32)  # [L, 1+K]
        columns[encoding.start - 1 : encoding.stop] = sums
        if encoding.read >= encoding.stop:  # of a text that nobody encoded here; nothing behind the response counts
            columns[encoding.read] = sums[-1]
        several = columns[:, 1:].copy() if labels.shape[1] > 1 else None
        own = terms[:, 0].astype(np.float32)  # [T]
        return Observation(encoding, columns[:, 0].copy(), black_box=True, label_scores=several, step_scores=own)

    def score_texts(self, prompt: Prompt, responses: Sequence[str]) -> Array:
        """The sum of each response's token rewards, ``[B]`` float32; of one without a token 0. Equal texts are run once."""
        encodings: dict[str, Encoding] = {}
        for text in dict.fromkeys(responses):
            try:
                encodings[text] = self.encode(Example(prompt, text))
            except RedvizError:
                if text.strip():
                    raise
        known = {t: one.score for t, one in zip(encodings, self.observe_all(list(encodings.values())), strict=True)}
        return np.array([known.get(text, 0.0) for text in responses], np.float32)

    def label_rewards(self, encodings: Sequence[Encoding]) -> list[Array]:
        """The logits of every label at every response token, ``[T, K]`` float32 each, in padded passes of like length.

        Raises
        ------
        RedvizError
            Where memory runs out on a single text.
        """
        return in_batches(
            [len(encoding.ids) for encoding in encodings],
            at_once("forward", self.device),
            lambda batch: self._pass([encodings[i] for i in batch]),
            lambda i: (
                f"Memory ran out on one text of {len(encodings[i].ids)} tokens; lower --max-length or use a smaller dtype."
            ),
            longest_first=True,
        )

    @torch.inference_mode()
    def _pass(self, encodings: Sequence[Encoding], side: str = "right") -> list[Array]:
        """One padded forward pass over the whole texts: ``[T, K]`` each."""
        given, starts = self.inputs(encodings, side)
        hidden = self.run(**given, use_cache=False).last_hidden_state  # [B, L, D]
        logits = self.head(hidden.float()).float().cpu().numpy()  # [B, L, K]
        own = [
            logits[row, at + e.start : at + e.stop] for row, (e, at) in enumerate(zip(encodings, starts, strict=True))
        ]
        return [finite(self.source, "the reward of a token", each) for each in own]

    def inputs(self, encodings: Sequence[Encoding], side: str = "right") -> tuple[dict[str, Tensor], list[int]]:
        """A padded batch, ``[B, L]`` each, and the column at which each text begins in it.

        A model that looks both ways is padded on the right alone, and counts its own positions.
        """
        width = max(len(e.ids) for e in encodings)
        starts = [width - len(e.ids) if side == "left" else 0 for e in encodings]
        pad = self.module.config.get_text_config().pad_token_id
        ids, mask = padded([e.ids for e in encodings], filler_id(self.module, pad), side)  # [B, L]
        given = {"input_ids": ids, "attention_mask": mask}
        if not self.both_ways:
            given["position_ids"] = positions(mask)
        elif encodings[0].types is not None and getattr(self.module.config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = padded([e.types for e in encodings if e.types is not None])[0]
        return {name: tensor.to(self.device) for name, tensor in given.items()}, starts

    def run(self, **inputs: Any) -> Any:
        """One forward pass of the trunk; every pass goes through here and is counted."""
        self.forwards += 1
        return self.module.base_model(**inputs)

    @torch.inference_mode()
    def own_rewards(self, encoding: Encoding) -> Array:
        """The module's own forward on one text alone, mixed as here: ``[T]`` float32. For checks."""
        given, _ = self.inputs([encoding])
        self.forwards += 1
        logits = self.module(**given).logits[0, encoding.start : encoding.stop].float()  # [T, K]
        found: Array = (logits @ self.mix).cpu().numpy()
        return found


def tried(model: TokenRewards) -> TokenRewards:
    """The same model, with what short forward passes show: whether it looks both ways and reads pairs.

    Raises
    ------
    RedvizError
        Where the module's own forward gives a token another reward than its head does.
    """
    model.both_ways = sees_ahead(model)
    model.pairs = model.both_ways and joins_pairs(model.tokenizer)
    model.max_length = min(model.max_length, places(model.module))
    encoding = model.encode(TRIED)
    ours, theirs = model.observe(encoding).step_scores, model.own_rewards(encoding)
    allowed = max(1e-3, 32 * torch.finfo(model.dtype).eps) * max(1.0, float(np.abs(theirs).max()))
    if ours is None or not float(np.abs(ours - theirs).max()) <= allowed:
        raise RedvizError(
            f"{model.name} is a {type(model.module).__name__}, whose head is more than one layer on each token's hidden state; "
            "redviz reads token classifiers with such a head only."
        )
    model.forwards = 0
    return model
