"""The labelled texts of the leaderboard: held-out film reviews with people's evidence, and which words the training saw alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from redviz.data.labels.label_sets import open_labels
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.records import Array
from redviz.text import Unit
from training.texts import (
    SEED,
    Review,
    Tree,
    detokenize,
    detokenize_review,
    read_reviews,
    read_trees,
    sentence_case,
    split_reviews,
    split_trees,
)

REQUEST = "Write a film review."
QUOTES = "\"'`"
T = TypeVar("T")


def held_out_reviews(data: Path) -> list[LabelledItem]:
    """The fifth of the reviews that nothing was trained or chosen on."""
    return [as_item(review) for review in split_reviews(read_reviews(data / "movies/train.jsonl"))[2]]


def dev_sentences(data: Path) -> list[LabelledItem]:
    """SST dev as natural text; every word of a sentence is a mark with its own grade, -2 to 2."""
    return list(open_labels(data / "sst/dev.txt", kind="sst").items)


def as_item(review: Review) -> LabelledItem:
    """The review as a person would type it, its evidence graded +1 where the review is positive and -1 where it is negative."""
    text = sentence_case(detokenize_review(review.text))
    spans = carried(review.text, text, review.evidence)
    marks = tuple(Mark(start, end, 1.0 if review.positive else -1.0) for start, end in spans)
    name = "positive" if review.positive else "negative"
    return LabelledItem(review.id, REQUEST, text, (Annotation("person", marks),), subset=name)


def carried(source: str, target: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character spans of one spelling of a text in another that differs in blanks, case and quotation marks only.

    The n-th character of one that is neither a blank nor a quotation mark is the n-th of the other. A span gets no wider: it ends with
    its last such character, so a quotation mark at its border falls outside.

    >>> carried('a " good " film', 'A "good" film', [(2, 10)])
    [(3, 7)]
    """
    ours, theirs = _solid(source), _solid(target)
    if _letters(source, ours) != _letters(target, theirs):
        raise ValueError(
            "The two texts differ in more than blanks, case and quotation marks; spans cannot be carried over."
        )
    found = []
    for start, end in spans:
        first, last = np.searchsorted(ours, [start, end])
        if first == last:
            raise ValueError(f"The span {start} to {end} holds nothing but blanks and quotation marks.")
        begin, stop = int(theirs[first]), int(theirs[last - 1]) + 1
        assert _letters(target[begin:stop]) == _letters(source[start:end])
        found.append((begin, stop))
    return found


def _solid(text: str) -> Array:
    """Places of the characters that are no blank and no quotation mark."""
    return np.array([n for n, c in enumerate(text) if not c.isspace() and c not in QUOTES], np.int64)


def _letters(text: str, places: Array | None = None) -> str:
    return "".join(text[n] for n in (_solid(text) if places is None else places)).lower()


def training_trees(data: Path) -> list[Tree]:
    """The sentences whose phrases the reward model was trained on."""
    return split_trees(read_trees(data / "sst/train.txt"))[0]


def words_seen_alone(trees: Sequence[Tree], every_spelling: bool = True) -> frozenset[str]:
    """Words that the training could draw as a phrase of one word: every node of one word but a root, in the text it is written as.

    Parameters
    ----------
    every_spelling
        Whether to count the spellings that the training makes of it too: lower case, a capital first, and as in the treebank.
        Otherwise natural text in the tree's own case.

    Examples
    --------
    >>> from training.texts import parse_tree
    >>> sorted(words_seen_alone([parse_tree("(3 (2 A) (3 (4 Fine) (2 film)))")], every_spelling=False))
    ['A', 'Fine', 'film']
    """
    words = {tree.words[start] for tree in trees for start, end, _ in tree.nodes[:-1] if end == start + 1}
    natural = {word: detokenize((word,))[0] for word in words}
    if not every_spelling:
        return frozenset(natural.values())
    return frozenset(
        spelled for raw, word in natural.items() for spelled in (raw, word, word.lower(), word[:1].upper() + word[1:])
    )


def seen_units(item: LabelledItem, units: Sequence[Unit], seen: frozenset[str]) -> Array:
    """Which units hold a word that the training saw alone, ``[U]`` bool. The words are the marks of a treebank sentence."""
    marks = item.annotations[0].marks
    known = [(mark.start, mark.end) for mark in marks if item.response[mark.start : mark.end] in seen]
    return np.array([any(start < unit.end and unit.start < end for start, end in known) for unit in units], bool)


def leave_out_seen(seen: frozenset[str]) -> Callable[[LabelledItem, Sequence[Unit]], Array]:
    """For :func:`redviz.evaluation.agreement.against_people.against_people`: words that were seen alone are not compared."""
    return lambda item, units: seen_units(item, units, seen)


def drawn(rows: Sequence[T], count: int) -> list[T]:
    """So many of the rows, by a fixed seed, in the order of the draw: a larger count begins with the smaller one's rows."""
    order = list(range(len(rows)))
    random.Random(SEED).shuffle(order)
    return [rows[n] for n in order[:count]]
