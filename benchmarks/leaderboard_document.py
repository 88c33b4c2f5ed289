"""The words around the leaderboard's tables. Every figure in them is computed; what is fixed is how the figures came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from leaderboard_credits import SIGNED, Options
from leaderboard_tables import (
    RANDOM,
    Ranking,
    beaten,
    below,
    best,
    markdown,
    measures_table,
    people_table,
    ranking_said,
    shown,
)

from redviz.credit.recipes import recipes
from redviz.evaluation.agreement.against_people import MethodsReport
from redviz.evaluation.agreement.ranking_figures import BLIND, FIGURE_NAMES
from redviz.evaluation.statistics.intervals import Estimate
from redviz.records import Source


@dataclass(frozen=True)
class Section:
    """A report and the methods it was asked with."""

    report: MethodsReport
    methods: Options


@dataclass(frozen=True)
class Faith:
    """Figures of erasure under one operator: each measure per response and method, with the sign of what is better.

    ``score`` and ``nothing_left`` are means of absolute values.
    """

    operator: str
    responses: int
    score: float
    nothing_left: float
    measures: Mapping[str, tuple[Ranking, int]]


def document(
    sections: Mapping[str, Section],
    unseen: Mapping[str, Estimate],
    shares: Sequence[tuple[float, float]],
    faith: Mapping[tuple[str, str], Faith],
    counts: Mapping[str, float],
    model: Source,
    fewer: str,
) -> str:
    """The whole of docs/leaderboard.md."""
    reports = {name: section.report for name, section in sections.items()}
    few = reports["reviews_dear"].responses
    parts = [
        "# Leaderboard of credit methods",
        _INTRODUCTION.format(fewer=fewer, weights=model.fingerprint[:12], dtype=model.dtype),
        "## Reading",
        "\n".join(f"* {line}" for line in _reading(reports, unseen, faith)),
        "What must not be concluded:",
        _LIMITS,
        "## How the tables are made",
        f"{reports['sst'].rule} {_HOW}",
        _NO_CEILING,
        _NOT_RUN.format(signed=SIGNED),
        "## Words of sentences (SST dev)",
        _SST.format(n=counts["sentences"]),
        f"### {reports['sst'].responses:,} sentences, methods that cost a few passes",
        _table(sections["sst"]),
        f"### {reports['sst_dear'].responses} sentences drawn by a fixed seed, all methods",
        _table(sections["sst_dear"]),
        "### Without the words that the training saw alone",
        _ALONE.format(trees=counts["training"], exact=shares[0], known=shares[1]),
        _unseen(unseen, reports["sst"]),
        _table(sections["sst_unseen"]),
        "## Evidence in long reviews (ERASER movies)",
        _REVIEWS.format(**counts),
        f"### Words of {reports['reviews'].responses} reviews, methods that cost a few passes",
        _table(sections["reviews"]),
        f"### Words of {few} of the {counts['short']} reviews of at most 700 tokens, drawn by a fixed seed, all methods",
        _SHORT,
        _table(sections["reviews_dear"]),
        f"### Sentences of {reports['reviews_sentences'].responses} reviews, methods that cost a few passes",
        _SENTENCES,
        _table(sections["reviews_sentences"]),
        f"### Sentences of the same {few} short reviews, all methods",
        _table(sections["reviews_dear_sentences"]),
        "## Faithfulness: what the model does without the credited text",
        _FAITH,
        *(part for (what, _), own in faith.items() for part in _faith(what, own)),
        "## Options",
        _OPTIONS,
        _options("Sentences", sections["sst_dear"].methods),
        _options("Reviews", sections["reviews_dear"].methods),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Which method's credits agree with what people marked, and which with what the model does? One model,
`embedded:sentiment`, on texts that it was not trained on. Made by `.venv/bin/python benchmarks/leaderboard.py --data
DATA{fewer}`: no figure is typed in by hand, those in sentences included. Weights {weights}, {dtype}. The methods are those
of [methods.md](methods.md)."""

_LIMITS = """\
* Not that a method is better in general: this is one small model (2.75 million parameters) of one subject, on two
  data sets.
* Not that agreement with people is correctness. A model may be right for other reasons than people's; the
  faithfulness tables ask that question, and they depend on the operator.
* Not that the labels are new to the model. It was trained on people's grades of SST phrases, most of these words
  among them, and on the evidence of *training* reviews as phrases of their own. The texts are held out; the kind of
  label is not.
* Not that a low figure is a bad method: the evidence in reviews is not complete (people marked enough to decide, not
  all there is), so unmarked words count as wrong though some are not; and a word's grade alone says nothing of
  negation.
* Not that an order by one figure is the order: read the intervals before the ranks, and average precision where
  credits tie.
* Not across tables: methods that are on a subset only are compared there.
* Not that taking things away finds evidence words best: on reviews the perturbation methods remove whole sentences, and people
  marked spans of about that size. Sentence by sentence they are not told apart from `red`.
* Not that every choice was made blind: the row `ig, mean`, and `delete` and `mask` as the main operators (padding alone moves this
  model's score by more than a whole response does), were chosen after trials on 14 sentences and 3 reviews."""

_HOW = """\
Credits are summed over units; the closing tokens' share belongs to no unit. Credits that share out the score over all
tokens (`uniform`, `p2t` as published) make a unit of more tokens larger when summed, so they rank by length first.
Rows stand in the order of the bold figure. *Methods it is above* counts those that a row beats by more than chance;
*blind rankings* are four that have not read the response (a random order, last first, first first, longest first)."""

_NO_CEILING = """\
**Human ceiling.** There is none: both data sets publish one label per text, so no person can be set against the
others."""

_NOT_RUN = """\
**Not run.** `truncation` gives `red_closed`'s credits by other means; `deeplift` refuses this model; `sparse` credits
one token; `sepo` ranks tokens as `dpo` does and `kl` the other way round; `rto`, `tdpo`, `treg` and `abc_d` were left
out. `{signed}` is no method of the library but `saliency` times the sign of the score: saliency itself is never
negative, so it cannot say what speaks against a response, while the attention methods and `p2t` take their sign from
the score."""

_SST = """\
SST dev, {n:,} sentences as natural text behind the request "Write a film review.". The label of a word is its own
grade in the treebank, 0 to 4, less 2: how people (several workers, published as one number) read the word *alone*.
Where a unit is several words of the treebank (*can't* is two), it takes the grade of most of its characters. Credits
are asked for signed; the main figure is Spearman's rank correlation within a sentence, averaged over sentences.
Sentences whose words are all neutral have nothing to find and are left out."""

_ALONE = """\
The reward model was trained on the phrases of {trees:,} SST training sentences with people's grades, phrases of one
word included: `training/examples.py` puts every node below a root into the pool that it draws from, and reads
each open and closed. So for most words the very label that is asked for here could be learned by heart. Of all words
of the sentences above {exact[0]:.1%}, and of those with a grade other than 0 {exact[1]:.1%}, are one-word training
phrases as the treebank spells them; counting the other spellings that the training makes (lower case, a capital
first, raw) {known[0]:.1%} and {known[1]:.1%}. The pool is drawn from at random, so not every one of them was met; the
words that remain were met inside longer phrases, if at all.

Left out are all units that hold such a word in any of these spellings. Few remain in a sentence. So the first table
is the rank correlation over the units of all sentences together, which also compares sentences with each other
(intervals over sentences); the second has the figures of above per sentence, by AUROC, where a sentence needs both a
marked and an unmarked unit."""

_REVIEWS = """\
{reviews} held-out reviews (a fifth, split by review before anything was trained), as a person would type them, behind
the same request. The evidence is carried over character by character: the two spellings differ in blanks, case and
quotation marks only, which is asserted for every span. Evidence is +1 in positive and -1 in negative reviews: methods
are asked for what raises the score in the first and for what lowers it in the second. The score has the right sign in
{right:.1%}; in the others, methods that take their sign from the score point the wrong way by construction. Longer
than the 2,048 tokens that training saw: {longest}; cut to fit: {cut}. The main figure is average precision."""

_SHORT = """\
Methods that run the model hundreds of times are affordable on short reviews only. `occlusion`, `shapley`, `lime` and
`kernel_shap` remove whole sentences here, so all words of a sentence have the same credit per token, and the words'
own credits differ by their numbers of tokens alone."""

_SENTENCES = """\
People marked clauses and sentences rather than words: here credits are summed over sentences before they are ranked.
A sentence is evidence where most of its characters are."""

_FAITH = """\
Units are removed in the order of the credit, taken for the model's own verdict: by what raises the score where it is
above 0, by what lowers it where it is below. Comprehensiveness: how much of the score is lost without the top 1, 5,
10, 20 and 50 %, averaged; sufficiency: how much is lost when only they stay; areas under the score as units go
(deletion) and come (insertion). All are in units of the score, turned to the verdict. The random control is the mean
of five orders of the same units. SST sentences have at least 8 words; the texts are the first of the draws above.

The operator is part of the result. `delete` takes the tokens out and closes up; the model was trained on phrases of
every length and to score nothing as 0, so what is left is text of a kind that it knows. But `occlusion`, `shapley`,
`lime` and `kernel_shap` were made with this very operator, which favours them. `mask` leaves everything in its place,
and nobody attends to what is removed; nothing was made with it. `pad` puts the pad token's embedding in the place of
what is removed: it favours `ig` and `gradient_shap`, whose default baseline it is, and the model never saw a pad inside
a text; how far the score is from 0 with everything removed says how much that matters. Template and prompt are never
removed."""

_OPTIONS = """\
Seeds are 0. On reviews the numbers of samples and steps are lower than the defaults, which costs those methods
accuracy; `ig` on sentences doubles its steps until its residual is small. `ig, mean` starts from the mean embedding in
place of the pad token's."""


def _table(section: Section) -> str:
    return f"{people_table(section.report)}\n\n{below(section.report)}"


def _faith(what: str, own: Faith) -> list[str]:
    main = "comprehensiveness"
    kind = "sentences of SST dev, word by word" if what == "sentences" else "short reviews, sentence by sentence"
    return [
        f"### {own.responses} {kind}, operator `{own.operator}`",
        f"The whole response scores {own.score:.2f} away from 0 on average, and with everything removed {own.nothing_left:.2f}.",
        measures_table(own.measures, main),
        ranking_said(own.measures[main][0], main),
    ]


def _unseen(found: Mapping[str, Estimate], whole: MethodsReport) -> str:
    before = {row.label: row.figures["spearman"] for row in whole.methods if row.kind == "method"}
    rows = [
        [label, shown(e), shown(before[label])] for label, e in sorted(found.items(), key=lambda own: -own[1].value)
    ]
    return markdown(["", "**Spearman, words not seen alone, pooled**", "Spearman, all words, per sentence"], rows)


def _reading(
    reports: Mapping[str, MethodsReport], unseen: Mapping[str, Estimate], faith: Mapping[tuple[str, str], Faith]
) -> list[str]:
    titles = {
        "sst": "Words of sentences",
        "sst_dear": "Words of sentences, all methods",
        "reviews": "Evidence words in reviews",
        "reviews_dear": "Evidence words in short reviews, all methods",
        "reviews_sentences": "Evidence sentences in reviews",
        "reviews_dear_sentences": "Evidence sentences in short reviews, all methods",
    }
    lines = [f"{title}: {_winner(reports[name])}" for name, title in titles.items()]
    kept = sorted(unseen, key=lambda label: -unseen[label].value)
    before = sorted(unseen, key=lambda label: -_figure(reports["sst"], label))
    lines.append(
        f"Words of sentences that the training did not see alone: the order of methods is "
        f"{', '.join(f'`{label}` {unseen[label].value:.3f}' for label in kept)}; rank correlation of this order with that on "
        f"all words {_rank_correlation(kept, before):.2f}."
    )
    for (what, operator), own in faith.items():
        ranking = own.measures["comprehensiveness"][0]
        means = dict(zip(ranking.labels, ranking.values.mean(0), strict=True))
        order = sorted(means, key=lambda label: -means[label])
        lines.append(
            f"Comprehensiveness on {what}, operator `{operator}`: "
            + ", ".join(f"`{label}` {means[label]:.3f}" for label in order[:4])
            + f"; `red` {means['red']:.3f}, random order {means[RANDOM]:.3f}."
        )
    return lines


def _winner(report: MethodsReport) -> str:
    label, e = best(report, lambda kind: kind == "method")
    blind = {row.label: row.figures[report.metric].value for row in report.methods if row.label in BLIND}
    rival = max(blind, key=lambda name: blind[name] if np.isfinite(blind[name]) else -np.inf)
    above = beaten(report.over_baselines)
    methods = [row.label for row in report.methods if row.kind == "method"]
    level = [m for m in methods if m != label and m not in beaten(report.differences).get(label, {})]
    also = f" (not told apart from it: {', '.join(f'`{m}`' for m in level)})" if level else ""
    red = f" `red` has {_figure(report, 'red'):.3f}." if label != "red" else ""
    over = sum(len(above.get(m, {})) == len(BLIND) for m in methods)
    return (
        f"`{label}` is first, {FIGURE_NAMES[report.metric]} {shown(e)}{also}.{red} The best blind ranking, {rival}, has "
        f"{blind[rival]:.3f}; {over} of {len(methods)} methods are above all four by more than chance."
    )


def _figure(report: MethodsReport, label: str) -> float:
    return next(row.figures[report.metric].value for row in report.methods if row.label == label)


def _rank_correlation(one: Sequence[str], two: Sequence[str]) -> float:
    return float(np.corrcoef(range(len(one)), [two.index(label) for label in one])[0, 1])


def _options(title: str, methods: Options) -> str:
    rows = []
    for label, options in methods.items():
        recipe = recipes({label: {"method": label, **options}})[label]
        own = {name: f"{name} = {value}" for name, value in recipe.options.items() if value is not None}
        given = ", ".join(said for name, said in own.items() if name in options)
        rest = ", ".join(said for name, said in own.items() if name not in options)
        rows.append([label, given, rest])
    return markdown([title, "set here", "by default"], rows)
