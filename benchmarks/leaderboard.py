"""Which credit method agrees with people, and which with the model: every table of docs/leaderboard.md from one command.

    .venv/bin/python benchmarks/leaderboard.py --data DATA

``training/texts.py`` says where to get the data (``sst/`` and ``movies/``). About 25 minutes of one CPU core; credits are kept in
``--cache``, so that a second run makes the tables alone, and one that was stopped goes on. ``--sentences`` and ``--reviews`` take fewer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from leaderboard_credits import REVIEWS_ALL, REVIEWS_DEAR, SENTENCES_ALL, SENTENCES_DEAR, Credits, Options
from leaderboard_document import Faith, Section, document
from leaderboard_tables import RANDOM, Ranking, pooled_spearman
from leaderboard_texts import (
    dev_sentences,
    drawn,
    held_out_reviews,
    leave_out_seen,
    seen_units,
    training_trees,
    words_seen_alone,
)

from redviz.data.labels.labels import LabelledItem
from redviz.evaluation.agreement.against_people import against_people
from redviz.evaluation.agreement.labelled_units import unit_grades
from redviz.evaluation.statistics.intervals import Estimate
from redviz.records import Analysis, Array
from redviz.settings import home
from redviz.text import pool, units

SHORT = 700  # tokens with the request: what is affordable for methods that run the model hundreds of times
DEAR_SENTENCES, DEAR_REVIEWS = 200, 40
FAITHFUL, FEWEST_WORDS = 60, 8  # sentences of so many words, and a third as many reviews
ERASED = (
    ("sentences", "delete"),
    ("reviews", "delete"),
    ("sentences", "mask"),
    ("reviews", "mask"),
    ("sentences", "pad"),
)
MEASURES = {"comprehensiveness": 1, "sufficiency": -1, "deletion_area": -1, "insertion_area": 1}


def faithful(
    credits: Credits, items: Sequence[LabelledItem], analyses: Sequence[Analysis], granularity: str, operator: str
) -> Faith:
    """Every measure per response and method, asked for what speaks for the model's own verdict: up where it scores above 0, else down."""
    found = [
        credits.faithfulness(item, analysis, granularity, operator, seed=n)
        for n, (item, analysis) in enumerate(zip(items, analyses, strict=True))
    ]
    labels = (*found[0].asked, RANDOM)
    rankings = {
        name: np.array(
            [
                [*(asked.own[name] for asked in one.asked.values()), next(iter(one.asked.values())).random[name]]
                for one in found
            ]
        )
        for name in MEASURES
    }
    measures = {name.replace("_", " "): (Ranking(labels, rankings[name]), sign) for name, sign in MEASURES.items()}
    whole, nothing = np.abs([(one.score, one.nothing_left) for one in found]).mean(0)
    return Faith(operator, len(found), float(whole), float(nothing), measures)


def pairs(items: Sequence[LabelledItem], analyses: Sequence[Analysis]) -> Iterator[tuple[LabelledItem, Analysis]]:
    return zip(items, analyses, strict=True)


def unseen(items: Sequence[LabelledItem], analyses: Sequence[Analysis], seen: frozenset[str]) -> dict[str, Estimate]:
    """Rank correlation of the words that the training did not see alone, all sentences together."""
    grades: list[Array] = []
    credits: dict[str, list[Array]] = {label: [] for label in analyses[0].credits}
    for item, analysis in zip(items, analyses, strict=True):
        groups = units(analysis.response, analysis.offsets, "word")
        kept = ~seen_units(item, groups, seen)
        people = item.annotations[0].grades(len(item.response))
        grades.append(unit_grades(item.response, people, [(u.start, u.end) for u in groups])[kept])
        for label, own in credits.items():
            own.append(pool(analysis.credits[label].own, groups)[kept])
    return {label: pooled_spearman(grades, own) for label, own in credits.items()}


def shares_seen(items: Sequence[LabelledItem], *spellings: frozenset[str]) -> list[tuple[float, float]]:
    """For each set of spellings, the share of all words in it, and of words with a grade other than 0."""
    words = [(item.response[m.start : m.end], m.grade) for item in items for m in item.annotations[0].marks]
    found = []
    for seen in spellings:
        inside = np.array([word in seen for word, _ in words])
        toned = np.array([grade != 0 for _, grade in words])
        found.append((float(inside.mean()), float(inside[toned].mean())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "docs/leaderboard.md")
    parser.add_argument("--cache", type=Path, default=home() / "leaderboard", help="where credits are kept")
    parser.add_argument("--sentences", type=int, default=10**6, help="at most so many, drawn by a fixed seed")
    parser.add_argument("--reviews", type=int, default=10**6, help="at most so many, drawn by a fixed seed")
    parser.add_argument(
        "--faithful", type=int, default=FAITHFUL, help="sentences of the erasure tables; a third as many reviews"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    credits = Credits(given.cache, say, given.device)
    sentences, reviews = dev_sentences(given.data), held_out_reviews(given.data)
    tokens = {id(review): len(credits.model.encode(review.example).ids) for review in reviews}
    short = [review for review in reviews if tokens[id(review)] <= SHORT]
    trees = training_trees(given.data)
    seen, as_written = words_seen_alone(trees), words_seen_alone(trees, every_spelling=False)

    def credited(items: Sequence[LabelledItem], methods: Options, name: str) -> list[Analysis]:
        return credits.of(items, methods, name)

    some, few = drawn(sentences, given.sentences), drawn(short, min(DEAR_REVIEWS, given.reviews))
    dear = some[:DEAR_SENTENCES]
    by_sentence = credited(some, SENTENCES_ALL, "sentences, cheap methods")
    by_short = credited(few, {**REVIEWS_ALL, **REVIEWS_DEAR}, "short reviews, all methods")
    by_dear = credited(dear, {**SENTENCES_ALL, **SENTENCES_DEAR}, "sentences, all methods")
    most = drawn(reviews, given.reviews)
    by_review = credited(most, REVIEWS_ALL, "reviews, cheap methods")

    long_enough = [n for n, a in enumerate(by_dear) if len(units(a.response, a.offsets, "word")) >= FEWEST_WORDS]
    kept = long_enough[: given.faithful]
    size = min(-(-given.faithful // 3), len(few))
    texts = {
        "sentences": ([dear[n] for n in kept], [by_dear[n] for n in kept], "word"),
        "reviews": (few[:size], by_short[:size], "sentence"),
    }
    faith = {}
    for what, operator in ERASED:
        faith[what, operator] = faithful(credits, *texts[what], operator)
        say(f"faithfulness, {what}, {operator}")

    sections = {
        "sst": Section(against_people(pairs(some, by_sentence), metric="spearman"), SENTENCES_ALL),
        "sst_dear": Section(
            against_people(pairs(dear, by_dear), metric="spearman"), {**SENTENCES_ALL, **SENTENCES_DEAR}
        ),
        "sst_unseen": Section(
            against_people(pairs(some, by_sentence), leave_out=leave_out_seen(seen), metric="auroc"), SENTENCES_ALL
        ),
        "reviews": Section(against_people(pairs(most, by_review)), REVIEWS_ALL),
        "reviews_dear": Section(against_people(pairs(few, by_short)), {**REVIEWS_ALL, **REVIEWS_DEAR}),
        "reviews_sentences": Section(against_people(pairs(most, by_review), "sentence"), REVIEWS_ALL),
        "reviews_dear_sentences": Section(
            against_people(pairs(few, by_short), "sentence"), {**REVIEWS_ALL, **REVIEWS_DEAR}
        ),
    }
    right = float(np.mean([(a.score > 0) == (i.subset == "positive") for i, a in zip(most, by_review, strict=True)]))
    text = document(
        sections,
        unseen=unseen(some, by_sentence, seen),
        shares=shares_seen(sentences, as_written, seen),
        faith=faith,
        counts={
            "sentences": len(sentences), "reviews": len(reviews), "short": len(short), "right": right,
            "training": len(trees), "longest": sum(count > 2048 for count in tokens.values()),
            "cut": sum(a.truncated > 0 for a in by_review),
        },
        model=credits.model.source,
        fewer="".join(
            f" --{name} {getattr(given, name)}"
            for name in ("sentences", "reviews", "faithful")
            if getattr(given, name) != parser.get_default(name)
        ),
    )  # fmt: skip
    given.output.write_text(text, encoding="utf-8")
    say(f"{given.output} written")


if __name__ == "__main__":
    main()
