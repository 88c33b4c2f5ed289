"""Graded training examples of the reward model: phrases packed behind a shared request, and long reviews."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from training.texts import Review, Tree, detokenize, prefix_grades, vary, vary_review
from training.train_writer import END, LENGTH, prompt_ids
from training.wordings import request

Read = tuple[int, float, float]  # position in the response's ids (-1: the header before it), grade 0-4, weight


@dataclass
class Row:
    """One row of a batch: a request and one or more responses that see it but not each other."""

    prompt: list[int]
    responses: list[list[int]] = field(default_factory=list)
    reads: list[list[Read]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.responses))


def encode(tokenizer: PreTrainedTokenizerFast, words: Sequence[str], rng: random.Random) -> tuple[list[int], list[int]]:
    """Ids of one spelling of the words, and for every word the position of its last token."""
    text, spans = vary(words, rng)
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    last, token = [], 0
    for _, end in spans:
        while token + 1 < len(encoding.ids) and encoding.offsets[token + 1][0] < end:
            token += 1
        last.append(token)
    return list(encoding.ids), last


class Phrases:
    """Draws graded responses: sentences, phrases, several sentences in a row, and rationales from the long reviews."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, trees: Sequence[Tree], reviews: Sequence[Review]) -> None:
        self.tokenizer, self.trees = tokenizer, list(trees)
        graded = {tree.words[start:end]: grade for tree in trees for start, end, grade in tree.nodes[:-1]}
        self.neutral = [(words, 2) for words, grade in graded.items() if grade == 2]
        self.toned = [(words, grade) for words, grade in graded.items() if grade != 2]
        self.rationales = [
            ([review.text[start:end].split() for start, end in review.evidence], 3.0 if review.positive else 1.0)
            for review in reviews
            if review.evidence
        ]

    def draw(self, rng: random.Random) -> tuple[list[int], list[Read]]:
        kind = rng.random()
        if kind < 0.34:
            return self._sentence(rng.choice(self.trees), rng)
        if kind < 0.86:
            phrase, label = rng.choice(self.toned if kind < 0.76 else self.neutral)
            return self._whole(phrase, label, 1.0, rng)
        if kind < 0.93:
            chosen = rng.sample(self.trees, rng.randint(2, 4))
            words = [word for tree in chosen for word in tree.words]
            return self._whole(words, sum(tree.grade for tree in chosen) / len(chosen), 0.7, rng)
        spans, grade = rng.choice(self.rationales)
        some = rng.sample(spans, min(len(spans), rng.choice((1, 1, 2, 3))))
        words = [word for span in some for word in [*span, "."]]
        return self._whole(words[:-1] if rng.random() < 0.5 else words, grade, 0.6, rng)

    def _whole(
        self, words: Sequence[str], grade: float, weight: float, rng: random.Random
    ) -> tuple[list[int], list[Read]]:
        ids = encode(self.tokenizer, words[:160], rng)[0]
        return [*ids, END], [(len(ids) - 1, grade, weight), (len(ids), grade, weight)]

    def _sentence(self, tree: Tree, rng: random.Random) -> tuple[list[int], list[Read]]:
        ids, last = encode(self.tokenizer, tree.words, rng)
        grades = prefix_grades(tree)
        if rng.random() < 0.12:  # stop early, so that closed reads of unfinished text are trained too
            grades = grades[: rng.randint(1, len(grades))]
            ids = ids[: last[len(grades) - 1] + 1]
        reads = []
        for words, grade, human in [*rng.sample(grades[:-1], min(4, len(grades) - 1)), grades[-1]]:
            reads.append((last[words - 1], grade, 1.0 if human else 0.25))
        return [*ids, END], [*reads, (len(ids), *reads[-1][1:])]


def phrase_rows(
    phrases: Phrases, tokenizer: PreTrainedTokenizerFast, rows: int, room: int, rng: random.Random
) -> list[Row]:
    """Rows of about ``room`` tokens, each with its own request, and the empty response in each."""
    batch = []
    for _ in range(rows):
        notes = [detokenize(tree.words)[0] for tree in rng.sample(phrases.trees, 4)]
        row = Row(prompt_ids(tokenizer, request(rng, notes, rng.choice((True, False)) if rng.random() < 0.1 else None)))
        row.responses.append([END])
        row.reads.append([(0, 2.0, 1.0)])
        while True:
            ids, reads = phrases.draw(rng)
            if len(row) + len(ids) > max(room, len(row.prompt) + 60):
                break
            row.responses.append(ids)
            row.reads.append(reads)
        batch.append(row)
    return batch


def review_rows(tokenizer: PreTrainedTokenizerFast, reviews: Sequence[Review], rng: random.Random) -> list[Row]:
    """Long reviews, whole or in part, one a row, read at the end, at the closing token and at random cuts."""
    length = rng.choice((512, 1024, LENGTH))
    batch = []
    for review in rng.sample(list(reviews), 4096 // length):
        prompt = prompt_ids(tokenizer, request(rng))[-length // 2 :]
        ids = tokenizer.encode(vary_review(review.text, rng), add_special_tokens=False)
        room = min(length - len(prompt) - 1, len(ids))
        start = 0
        if len(ids) > room and rng.random() < 0.7:
            stops = [
                i + 1
                for i, token in enumerate(tokenizer.convert_ids_to_tokens(ids))
                if token in ".!?" and i + room <= len(ids)
            ]
            start = rng.choice(stops) if stops else len(ids) - room
        part = room / len(ids)
        grade, weight = (3.5 if review.positive else 0.5), 0.3 + 0.7 * part
        ids = ids[start : start + room]
        cuts = [(cut, grade, 0.3 * part * (cut + 1) / len(ids)) for cut in rng.sample(range(len(ids)), 6)]
        reads = [*cuts, (len(ids) - 1, grade, weight), (len(ids), grade, weight)]
        batch.append(Row(prompt, [[*ids, END]], [reads]))
    return batch
