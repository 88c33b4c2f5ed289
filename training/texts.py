"""Texts that the embedded models are trained and judged on: readers, detokenizer, spellings, splits.

Nothing in the package imports this file; the scripts beside it do. The data is not part of the project. Put it in one
folder:

* ``sst/train.txt``, ``sst/dev.txt``: the Stanford Sentiment Treebank as PTB trees with a grade of 0-4 on every node,
  words included (Socher et al. 2013, https://nlp.stanford.edu/sentiment, ``trainDevTestTrees_PTB.zip``);
* ``movies/train.jsonl``: the film reviews of ERASER (DeYoung et al. 2020, https://www.eraserbenchmark.com), one JSON
  object a line with ``id``, ``label`` (POS or NEG), ``text`` and ``evidence`` (character spans of human rationales).
  The reviews are Pang & Lee's (2004), the rationales Zaidan et al.'s (2007).
"""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SEED = 20260101


@dataclass(frozen=True)
class Tree:
    """One sentence: its words and every graded node (first word, word after the last, grade 0-4); the root is last."""

    words: tuple[str, ...]
    nodes: tuple[tuple[int, int, int], ...]

    @property
    def grade(self) -> int:
        return self.nodes[-1][2]


@dataclass(frozen=True)
class Review:
    """One long film review, tokenized and lower-cased as published; ``evidence``: character spans of the rationales."""

    id: str
    positive: bool
    text: str
    evidence: tuple[tuple[int, int], ...]


def parse_tree(line: str) -> Tree:
    """Read one PTB tree, e.g. ``(3 (2 It) (3 (2 's) (3 fun)))``."""
    words: list[str] = []
    nodes: list[tuple[int, int, int]] = []
    open_nodes: list[tuple[int, int]] = []
    for grade, word, close in re.findall(r"\((\d) |([^ ()]+)|(\))", line):
        if grade:
            open_nodes.append((len(words), int(grade)))
        elif word:
            words.append(word)
        elif close:
            start, label = open_nodes.pop()
            nodes.append((start, len(words), label))
    return Tree(tuple(words), tuple(nodes))


def read_trees(path: Path) -> list[Tree]:
    """Read all trees of one file of the treebank."""
    return [parse_tree(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_reviews(path: Path) -> list[Review]:
    """Read the long reviews, each text once."""
    reviews: dict[str, Review] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        evidence = tuple((int(start), int(end)) for start, end in row["evidence"])
        reviews.setdefault(row["text"], Review(row["id"], row["label"] == "POS", row["text"], evidence))
    return list(reviews.values())


def split_trees(trees: Sequence[Tree], held_out: int = 800) -> tuple[list[Tree], list[Tree]]:
    """Split the training trees by sentence into (train, choosing); dev is a file of its own and not touched here."""
    order = sorted(trees, key=lambda tree: _digest(" ".join(tree.words)))
    return order[held_out:], order[:held_out]


def split_reviews(reviews: Sequence[Review]) -> tuple[list[Review], list[Review], list[Review]]:
    """Split by review into (train, choosing, held out): a fifth is held out, 96 more choose the checkpoint."""
    order = sorted(reviews, key=lambda review: _digest(review.text))
    fifth = len(order) // 5
    return order[fifth + 96 :], order[fifth : fifth + 96], order[:fifth]


def _digest(text: str) -> str:
    return hashlib.sha256(f"{SEED} {text}".replace("\u00a0", " ").encode()).hexdigest()


# --- from treebank tokens to the text a person would type ------------------------------------------------------------

_PTB = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "``": '"', "''": '"'}
_CLITICS = {"'s", "n't", "'re", "'ve", "'m", "'ll", "'d", "'S", "N'T"}
_NO_SPACE_BEFORE = {".", ",", "!", "?", ":", ";", "%", ")", "]", "}", "...", "'", "!?", "?!", "..", "...."} | _CLITICS
_NO_SPACE_AFTER = {"(", "[", "{", "$", "#"}


def detokenize(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join treebank tokens into natural text; return it with each token's (start, end) in it.

    Brackets, quotation marks and slashes lose their escapes, clitics and closing punctuation move to the word before,
    quotation marks hug what they enclose, ``ca n't`` becomes ``can't``. A lone ``-`` between words loses its spaces.
    """
    text, spans, quoted, glue = "", [], False, True
    for position, raw in enumerate(words):
        word = _PTB.get(raw, raw).replace("\\/", "/").replace("\\*", "*").replace("\u00a0", " ")
        before, after = not glue, False
        if word == '"':
            closing = quoted if raw != "``" else False
            before, after, quoted = (not closing) and not glue, not closing, not closing
        elif word in _NO_SPACE_BEFORE:
            before = False
        elif word in _NO_SPACE_AFTER:
            after = True
        elif word == "-" and 0 < position < len(words) - 1:
            before, after = False, True
        if before and text:
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text, glue = text + word, after
    return text, spans


def detokenize_review(text: str) -> str:
    """The natural text of a lower-cased, tokenized review; three spaced points become an ellipsis."""
    return detokenize(text.replace(". . .", "...").split())[0]


def sentence_case(text: str) -> str:
    """Capitals where a person would type them: at the start, after a full stop, and in the word I."""
    text = re.sub(r"\bi\b(?!\.)", "I", text)
    return re.sub(r"(^|[.!?][\"')]*\s+|\n)([\"'(]*)([a-z])", lambda m: m[1] + m[2] + m[3].upper(), text)


def vary(words: Sequence[str], rng: random.Random) -> tuple[str, list[tuple[int, int]]]:
    """One spelling of treebank tokens for training, with their spans: mostly natural, some in other case, some raw."""
    if rng.random() < 0.12:
        text, ends = " ".join(words), [0]
        for word in words:
            ends.append(ends[-1] + len(word) + 1)
        return text, [(start, start + len(word)) for start, word in zip(ends, words, strict=False)]
    (text, spans), chance = detokenize(words), rng.random()
    if chance < 0.2:
        text = text.lower()
    elif chance < 0.4:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.05:
        text = text.replace("'", "\u2019")
    return text, spans


def vary_review(text: str, rng: random.Random) -> str:
    """One spelling of a long review: mostly natural and sentence-cased, sometimes with paragraphs, some of it raw."""
    if rng.random() < 0.12:
        return text
    text = detokenize_review(text)
    if rng.random() < 0.75:
        text = sentence_case(text)
    if rng.random() < 0.3:
        text = re.sub(r"(?<=[.!?]) (?=\w)", lambda _: "\n\n" if rng.random() < 0.15 else " ", text)
    return text


def prefix_grades(tree: Tree) -> list[tuple[int, float, bool]]:
    """A grade for every prefix of a sentence: (words read, grade, whether people graded that very prefix).

    Where the prefix is a node of the tree the grade is the human one. Elsewhere the prefix is cut into the largest nodes
    that fit, left to right, and their distances from neutral are added and clipped: a guess, for a lower weight.
    """
    starts: dict[int, list[tuple[int, int]]] = {}
    for start, end, grade in tree.nodes:
        starts.setdefault(start, []).append((end, grade))
    grades = []
    for read in range(1, len(tree.words) + 1):
        position, total, pieces = 0, 0, 0
        while position < read:
            position, grade = max(node for node in starts[position] if node[0] <= read)
            total, pieces = total + grade - 2, pieces + 1
        grades.append((read, 2.0 + max(-2, min(2, total)), pieces == 1))
    return grades
