"""A process reward model: one score in [0, 1] after each step of a response, read in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel, RewardFunction
from redviz.models.loading.precision import MIXED
from redviz.models.reading.conversations import messages_of
from redviz.models.reading.encode import LONE_SURROGATE, text_notices
from redviz.models.reading.known_tokens import check_known
from redviz.models.reading.steps import Marked, StepFormat
from redviz.models.running.budgets import at_once
from redviz.models.running.finite import finite
from redviz.models.running.micro_batches import in_batches, padded
from redviz.records import Array, Encoding, Example, Observation, Prompt

AGGREGATES = {"min": "minimum", "product": "product", "mean": "mean", "last": "last"}
OF_NONE = {"min": 1.0, "product": 1.0}  # of no steps; a mean and a last of none there are not
MOVES = 1e-3  # of the spread of a hidden state; in a causal model it is rounding alone


@dataclass
class ProcessModel(FunctionModel):
    """Made by :func:`redviz.load_reward_model`; seen from outside a function of text, whose tokens are the response's steps.

    The score after step k is ``p_k = softmax(logits)[good]`` at a mark that is put behind the step. The score of a response is an
    aggregate of these, and ``P_t`` that of the first t steps: because the model is causal, it is the score of the response cut there.

    Attributes
    ----------
    module, tokenizer
        The Transformers model and its fast tokenizer.
    head
        Hidden states ``[..., D]`` to logits ``[..., K]``, in float32.
    good
        Which of the logits says that a step is right.
    format
        How steps are told apart, and how they are written for the model.
    aggregate
        "min" (Wang et al. 2024, Math-Shepherd, arXiv 2312.08935), "product" (Lightman et al. 2023, arXiv 2305.20050), "mean" (RLHFlow)
        or "last".
    """

    function: RewardFunction = field(init=False, repr=False)
    split: str = field(init=False, default="step")
    module: Any = field(kw_only=True, repr=False)
    tokenizer: Any = field(kw_only=True, repr=False)
    head: Any = field(kw_only=True, repr=False)
    good: int = field(kw_only=True)
    format: StepFormat = field(kw_only=True)
    aggregate: str = field(kw_only=True, default="min")
    trained_length: int | None = field(kw_only=True, default=None)
    unit: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        self.function = lambda prompt, response: float(self.score_texts(prompt, [response])[0])

    @property
    def trunk(self) -> Any:
        return self.module.base_model

    def encode(self, example: Example) -> Encoding:
        """The steps of one response as its ``T`` tokens, cut at whole steps where they do not fit the context.

        Raises
        ------
        RedvizError
            Where the response is empty or blank, half a surrogate pair, or its first step does not fit.
        """
        response = example.response
        if not response:
            raise RedvizError("The response is empty; give at least one character to score.")
        spans = self.format.split(response)  # T
        if not spans:
            raise RedvizError("The response holds blanks alone and no step to score; write some text.")
        if lone := LONE_SURROGATE.search("".join(m["content"] for m in messages_of(example.prompt)) + response):
            raise RedvizError(
                f"The text holds half of a surrogate pair (U+{ord(lone[0]):04X}), which is no character; repair its encoding."
            )
        whole = self.marked(example.prompt, [self.format.content(response[a:b]) for a, b in spans])
        kept, size = self._fitting(example, spans, whole)
        left_out = self.format.left_out(self.tokenizer, example.prompt)
        notices = (*left_out, *text_notices(self.tokenizer, example), self._meaning())
        if kept < len(spans):
            notices += (
                f"The response was cut: its last {len(spans) - kept} of {len(spans)} steps do not fit the model's "
                f"{self.max_length} tokens.",
            )
        if self.trained_length and size > self.trained_length:
            notices += (f"This text has {size} tokens; the model was trained on lengths up to {self.trained_length}.",)
        pieces = ("(prompt)", *(response[a:b] for a, b in spans[:kept]))  # L = T + 1
        ids = np.arange(len(pieces), dtype=np.int64)  # [L]: places; the model's own ids hold the marks too
        return Encoding(
            ids,
            1,
            kept + 1,
            kept,
            spans[:kept],
            pieces,
            whole.rendered,
            len(spans) - kept,
            notices,
            example,
            unit=self.unit,
        )

    def _fitting(self, example: Example, spans: Sequence[tuple[int, int]], whole: Marked) -> tuple[int, int]:
        """How many steps fit the context, and how many tokens they take with the prompt."""
        contents = [self.format.content(example.response[a:b]) for a, b in spans]
        kept, size = len(spans), len(whole.ids)
        while size > self.max_length:
            if kept == 1:
                raise RedvizError(
                    f"The prompt and the first step take {size} of the {self.max_length} tokens this model can read; "
                    "shorten the prompt."
                )
            kept = min(kept - 1, max(1, int(np.searchsorted(whole.columns, self.max_length))))
            size = len(self.marked(example.prompt, contents[:kept]).ids)
        return kept, size

    def _meaning(self) -> str:
        word = AGGREGATES[self.aggregate]
        others = ", ".join(name for name in AGGREGATES if name != self.aggregate)
        base = f"P_0 is 1, the {word} of none" if self.aggregate in OF_NONE else "there is no P_0"
        return f"The score is the {word} of the step scores ({base}); --head takes another: {others}."

    def observe_all(self, encodings: Sequence[Encoding]) -> list[Observation]:
        """:meth:`observe` for several, in padded passes of like length."""
        texts = [
            self.marked(e.example.prompt, [self.format.content(e.example.response[a:b]) for a, b in e.offsets])
            for e in encodings
        ]
        base = np.float32(OF_NONE.get(self.aggregate, np.nan))
        return [
            Observation(e, np.append(base, self.running(p)).astype(np.float32), black_box=True, step_scores=p)
            for e, p in zip(encodings, self.step_scores(texts), strict=True)
        ]

    def observe(self, encoding: Encoding) -> Observation:
        """One forward pass: the step scores, and the aggregate of the first t of them as ``P_t``.

        ``P_0`` is 1 for "min" and "product" (of no steps), and nan else: nothing is read before the first step.
        """
        return self.observe_all([encoding])[0]

    def running(self, scores: Array) -> Array:
        """The aggregate of the first t step scores, ``[T] -> [T]`` float32."""
        exact = scores.astype(np.float64)
        aggregate: Array = {
            "min": np.minimum.accumulate(exact),
            "product": np.cumprod(exact),
            "mean": np.cumsum(exact) / np.arange(1, len(exact) + 1),
            "last": exact,
        }[self.aggregate].astype(np.float32)
        return aggregate

    def score_texts(self, prompt: Prompt, responses: Sequence[str]) -> Array:
        """The aggregate of each response's step scores, ``[B]`` float32; equal texts are run once, each cut to what fits.

        Raises
        ------
        RedvizError
            For a response without a step where the aggregate is "last" or "mean", and where memory runs out on a single one.
        """
        texts = list(dict.fromkeys(responses))
        known: dict[str, float] = {}
        marked: dict[str, Marked] = {}
        for text in texts:
            spans = self.format.split(text)
            if spans:
                contents = [self.format.content(text[a:b]) for a, b in spans]
                whole = self.marked(prompt, contents)
                kept, _ = self._fitting(Example(prompt, text), spans, whole)
                marked[text] = whole if kept == len(spans) else self.marked(prompt, contents[:kept])
            elif self.aggregate not in OF_NONE:
                raise RedvizError(
                    f"{self.name} reads nothing before a first step, so an empty response has no score; "
                    "choose --head min or product."
                )
            else:
                known[text] = OF_NONE[self.aggregate]
        for text, scores in zip(marked, self.step_scores(list(marked.values())), strict=True):
            known[text] = float(self.running(scores)[-1])
        return np.array([known[text] for text in responses], dtype=np.float32)  # [B]

    def marked(self, prompt: Prompt, contents: Sequence[str]) -> Marked:
        """The steps as the model reads them."""
        marked = self.format.write(self.tokenizer, prompt, contents, self.format.tag)
        check_known(self.module, self.tokenizer, marked.ids, self.name)
        return marked

    def step_scores(self, texts: Sequence[Marked]) -> list[Array]:
        """``p_1 .. p_K`` of each text, ``[K]`` float32, in padded passes of like length."""
        return in_batches(
            [len(text.ids) for text in texts],
            at_once("forward", self.device),
            lambda batch: self._run([texts[i] for i in batch]),
            lambda i: (
                f"Memory ran out on one text of {len(texts[i].ids)} tokens; lower --max-length or use a smaller dtype."
            ),
            longest_first=True,
        )

    @torch.inference_mode()
    def _run(self, texts: Sequence[Marked]) -> list[Array]:
        """One right-padded forward pass; no column that is read looks ahead."""
        hidden = self.hidden(*padded([text.ids for text in texts]))  # [B, L, D]
        return [self._scores(hidden[row, torch.as_tensor(text.columns)]) for row, text in enumerate(texts)]

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One counted forward pass of the trunk: ``[B, L]`` to ``[B, L, D]``."""
        self.forwards += 1
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
        on_device = {name: tensor.to(self.device) for name, tensor in given.items()}
        found: Tensor = self.trunk(**on_device, use_cache=False).last_hidden_state
        return found

    def _scores(self, hidden: Tensor) -> Array:
        """``[K, D] -> [K]`` float32."""
        found: Array = torch.softmax(self.head(hidden.float()), -1)[:, self.good].cpu().numpy()
        return finite(self.source, "the score of a step", found)


def causal(model: ProcessModel) -> ProcessModel:
    """The same model, after a look whether later steps move earlier scores; then a prefix would have other step scores.

    Raises
    ------
    RedvizError
        Where they do.
    """
    both, one = (model.marked("1 + 1 = ?", steps) for steps in (["One and one.", "It is 2."], ["One and one."]))
    with torch.inference_mode():
        pair = [
            model.hidden(ids := torch.as_tensor(text.ids)[None], torch.ones_like(ids))[0, int(text.columns[0])].float()
            for text in (both, one)
        ]  # 2 x [D]
    finite(model.source, "a hidden state", torch.stack(pair).cpu().numpy())
    rounding = 16 * torch.finfo(next(model.module.parameters()).dtype).eps
    allowed = max(MOVES, MIXED if model.source.dtype == "8bit" else rounding)
    if not float((pair[0] - pair[1]).abs().max()) <= allowed * float(pair[0].std()):
        raise RedvizError(
            f"{model.name} sees later steps when it scores an earlier one; redviz reads causal process reward models only."
        )
    model.forwards = 0
    return model
