"""A reward model that scores a pair of responses and gives no score to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.models.kinds.function import split_text
from redviz.models.kinds.pair_scores import PairScores, PairWord, PairWords
from redviz.models.reading.conversations import left_out_of_text, messages_of
from redviz.models.reading.known_tokens import check_known, filler_id
from redviz.models.running.budgets import Progress
from redviz.models.running.finite import finite
from redviz.records import Array, Message, Source

if TYPE_CHECKING:
    from redviz.models.families.pair_rm import PairModule


@dataclass
class PairScorer:
    """Made by :func:`redviz.load_pair_scorer`; give it to :func:`redviz.compare`.

    Attributes
    ----------
    module, tokenizer
        Trunk and head, and a tokenizer that knows the three marks.
    marks
        The texts that begin the prompt's part and the two responses' parts.
    max_length, source_length
        Tokens of the whole text, and of the prompt's part; the responses share evenly what a shorter prompt leaves.
    forwards
        How many forward passes have run.
    """

    name: str
    module: PairModule
    tokenizer: Any
    marks: tuple[str, ...]  # [3]
    max_length: int
    source_length: int
    source: Source
    forwards: int = 0

    @property
    def device(self) -> Any:
        return next(self.module.parameters()).device

    def encode(self, example: object) -> Any:
        """What asks for the score of one response is refused in one sentence.

        Raises
        ------
        OnlyPairs
            Always.
        """
        from redviz.models.families.pair_rm import refusal

        raise refusal(self.name)

    def compare(
        self,
        prompt: str | Sequence[Message],
        responses: Sequence[str],
        words: bool = False,
        progress: Progress | None = None,
    ) -> PairScores:
        """The scores and, if asked for, what words add to the first response's margin over each other one.

        :func:`redviz.compare` checks what it is given and calls this.
        """
        found = self.scores(prompt, responses, progress)
        others = range(1, len(responses)) if words else range(0)
        return replace(found, words=tuple(self.words(found, 0, j, progress) for j in others))

    def scores(
        self, prompt: str | Sequence[Message], responses: Sequence[str], progress: Progress | None = None
    ) -> PairScores:
        """Every pair of responses in both orders."""
        count = len(responses)
        shown = list(permutations(range(count), 2))  # n (n - 1) ordered pairs
        table = np.zeros((count, count), np.float32)
        pairs = [(responses[i], responses[j]) for i, j in shown]
        table[tuple(np.array(shown).T)], notices = self.ordered_margins(prompt, pairs, progress, responses)
        return PairScores(prompt, tuple(responses), self.source, table, notices)

    def words(self, scores: PairScores, first: int, second: int, progress: Progress | None = None) -> PairWords:
        """What every word of two responses adds to the margin of one over the other: two margins for each word."""
        kept = (scores.responses[first], scores.responses[second])
        spans = [(side, *span) for side in (0, 1) for span in split_text(kept[side], "word")]
        pairs = []
        for side, start, end in spans:
            cut = kept[side][:start] + kept[side][end:]
            one, two = (cut, kept[1]) if side == 0 else (kept[0], cut)
            pairs += [(one, two), (two, one)]
        margins = self.ordered_margins(scores.prompt, pairs, progress)[0].reshape(-1, 2)  # [words, order]
        whole = scores.margin(first, second)
        rows = [
            PairWord((first, second)[side], kept[side][start:end], start, end, whole - float(there - back) / 2)
            for (side, start, end), (there, back) in zip(spans, margins, strict=True)
        ]
        return PairWords(first, second, whole, tuple(rows))

    def ordered_margins(
        self,
        prompt: str | Sequence[Message],
        pairs: Sequence[tuple[str, str]],
        progress: Progress | None = None,
        noted: Sequence[str] = (),
    ) -> tuple[Array, tuple[str, ...]]:
        """The margin of the first of each pair over the second, in this order alone, ``[B]`` float32, and notices of ``noted``."""
        from redviz.models.families.pair_rm import PairRow, conversation, pair_margins

        turns = [(turn["role"], turn["content"]) for turn in messages_of(prompt)]
        texts = {response: conversation(turns, response, self.name) for pair in pairs for response in pair}
        source = self._part(0, next(iter(texts.values()))[0], self.source_length)
        room = (self.max_length - len(source.ids)) // 2
        sides = [{one[at]: self._part(at + 1, texts[one[at]][1], room) for one in pairs} for at in (0, 1)]
        rows = []
        for first, second in pairs:
            one, two = sides[0][first], sides[1][second]
            at = len(source.ids), len(source.ids) + len(one.ids)
            rows.append(PairRow([*source.ids, *one.ids, *two.ids], (source.mark, at[0] + one.mark, at[1] + two.mark)))
        fill = filler_id(self.module.base_model, self.tokenizer.pad_token_id)
        found, passes = pair_margins(self.module, rows, fill, progress)
        self.forwards += passes
        parts = {"The prompt": source, **{f"Response {i}": sides[0][text] for i, text in enumerate(noted, 1)}}
        finite(self.source, "the margin of a pair", found)
        notices = [note for name, part in parts.items() for note in part.notices(name)]
        return found, (*(left_out_of_text(prompt, self.name) if noted else ()), *notices)

    def _part(self, which: int, text: str, limit: int) -> _Part:
        mark = self.tokenizer.convert_tokens_to_ids(self.marks[which])
        ids = self.tokenizer(self.marks[which] + text, truncation=True, max_length=limit)["input_ids"]
        check_known(self.module.base_model, self.tokenizer, ids, self.name)
        whole = self.tokenizer(self.marks[which] + text, verbose=False)["input_ids"]
        spelt = [text_of for text_of in self.marks if text_of in text]
        return _Part(ids, ids.index(mark), len(whole), tuple(spelt))


@dataclass(frozen=True)
class _Part:
    """The prompt or a response: its ids, the column of its mark, its length before it was cut, and marks that its text spells."""

    ids: list[int]
    mark: int
    whole: int
    spelt: tuple[str, ...]

    def notices(self, name: str) -> list[str]:
        cut = f"{name} has {self.whole} tokens, and the model was given the first {len(self.ids)}."
        spelt = f"{name} spells {', '.join(self.spelt)}, which the model takes for a mark of its own."
        return [*([cut] if self.whole > len(self.ids) else []), *([spelt] if self.spelt else [])]
