"""What ``redviz doctor`` finds on pairs, in a terminal: which text the model was trained on, and whether its score can be split."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from redviz.cli.terminal import column, shown, table, wrapped

if TYPE_CHECKING:
    from redviz.evaluation.conformance.text_report import TextReport
    from redviz.evaluation.statistics.intervals import Estimate
    from redviz.evaluation.statistics.splitting import SplitReport


def split_text(report: SplitReport, name: str) -> str:
    """The verdict, the figures it rests on with their 95 % intervals, and its rule."""
    places = [f"{share:.0%} of the response" for share in report.fractions] + ["the whole, closing tokens included"]
    prefixes = table(
        [
            column("prefix score after", places),
            column("pairs told right", [_percent(e) for e in (*report.accuracy, report.score_accuracy)]),
            column("correlation with the score", [*map(_number, report.correlation), ""]),
        ]
    )
    shares = {
        "last token": report.last_share,
        "closing tokens": report.closing_share,
        "both": report.end_share,
    }
    credit = table(
        [column("share of |RED credit| on", list(shares)), column("mean", [_percent(e) for e in shares.values()])]
    )
    count = len(report.variance_reduction)
    tenths = [f"{n / count:.0%} to {(n + 1) / count:.0%}" for n in range(count)] + ["second half, prompt apart"]
    reductions = [_percent(e) for e in (*report.variance_reduction, report.late_reduction)]
    variance = table(
        [column("part of the response", tenths), column("variance that RED takes off returns", reductions)]
    )
    left_out = f", {report.left_out} left out (not scored)" if report.left_out else ""
    pairs = "1 pair" if report.count == 1 else f"{report.count} pairs"
    title = f"Can this model be split? {pairs} of {shown(name)}{left_out}"
    blocks = (title, wrapped(report.sentence), prefixes, credit, variance, wrapped(f"The rule: {report.rule}"))
    return "\n\n".join(blocks)


def tried_text(report: TextReport, name: str) -> str:
    """Every text that was tried with its figures and their 95 % intervals, and why others were not."""
    tried = [text for text in report.tried if text.accuracy.count]
    figures = table(
        [
            column("text", [shown(text.template) for text in tried]),
            column("pairs", [str(text.accuracy.count) for text in tried], right=True),
            column("told right", [_percent(text.accuracy) for text in tried]),
            column("against the first", ["", *(_percent(text.accuracy_gain) for text in tried[1:])]),
            column("mean margin", [_number(text.margin) for text in tried]),
        ]
    )
    pairs = "1 pair" if report.count == 1 else f"{report.count} pairs"
    title = f"Which text was it trained on? {pairs} of {shown(name)}, the text in use first"
    refused = [f"{shown(text.template)} was not tried: {text.refused}" for text in report.tried if text.refused]
    return "\n\n".join([title, figures, *([wrapped(" ".join(refused))] if refused else [])])


def _percent(given: Estimate) -> str:
    if not math.isfinite(given.value):
        return "not defined"
    if not math.isfinite(given.low):
        return f"{given.value:4.0%}"
    return f"{given.value:4.0%}  ({given.low:.0%} to {given.high:.0%})"


def _number(given: Estimate) -> str:
    if not math.isfinite(given.value):
        return "not defined"
    if not math.isfinite(given.low):
        return f"{given.value:+.2f}"
    return f"{given.value:+.2f}  ({given.low:+.2f} to {given.high:+.2f})"
