"""Reports: one self-contained HTML file for an analysis. No network, no script; light and dark; prints well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from redviz import __version__
from redviz.messages import shown_text
from redviz.records import Analysis, Credit
from redviz.view.charts import indexed, legend, line_chart
from redviz.view.escape import escape, tag
from redviz.view.lanes import Strip, number, signed, strip_of
from redviz.view.panels import Level, Panel, Series
from redviz.view.static import lanes_html, marked, shade, stylesheet

PAGE = "html{color-scheme:light dark;background:light-dark(#fff,#171614)}body{margin:0}"
TITLE = "Which tokens earn the reward"
OPEN_TABLE = 400  # tokens up to which the token table starts unfolded


def report(
    analysis: Analysis,
    *,
    labels: Sequence[str] | None = None,
    granularity: str = "token",
    card: Mapping[str, Any] | None = None,
) -> str:
    """One analysis as a self-contained HTML page.

    Parameters
    ----------
    analysis
        What to report; a failed one gives a page that says why.
    labels
        Which credits, in drawing order; all by default.
    granularity
        Of the strips: "token", "word" or "sentence". The table always has one row per token.
    card
        The model's conformance card as plain types (``ConformanceCard.to_dict()``): its verdict, and what is not green.

    Returns
    -------
    str
        A complete HTML document without scripts and without links to other files.
    """
    return reports([analysis], labels=labels, granularity=granularity, card=card)


def reports(
    analyses: Iterable[Analysis],
    *,
    labels: Sequence[str] | None = None,
    granularity: str = "token",
    card: Mapping[str, Any] | None = None,
) -> str:
    """Several analyses, one after the other, as one self-contained HTML page (see :func:`report`)."""
    given = list(analyses)
    articles = "".join(_article(a, labels, granularity, card) for a in given)
    title = TITLE if len(given) != 1 or not given[0].example.id else f"{given[0].example.id}: {TITLE}"
    # The page may load nothing at all: even a response that breaks out of its cell could not call anywhere.
    policy = tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'")
    head = '<meta charset="utf-8">' + policy.removesuffix("</meta>")
    head += '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head += tag("title", escape(title)) + tag("style", PAGE + stylesheet("strip.css", "report.css"))
    body = tag("body", tag("main", articles, class_="redviz"))
    return f"<!doctype html>\n{tag('html', tag('head', head) + body, lang='en')}\n"


def strips_html(analysis: Analysis) -> str:
    """The strips alone, as a fragment of HTML for a notebook."""
    body = _failure(analysis) if analysis.observation is None else lanes_html(strip_of(analysis))
    score = (
        "" if analysis.observation is None else tag("p", f"score {tag('b', number(analysis.score))}", class_="score")
    )
    style = tag("style", stylesheet("strip.css", "report.css"))
    return style + tag("div", score + body, class_="redviz notebook")


def _article(analysis: Analysis, labels: Sequence[str] | None, granularity: str, card: Mapping[str, Any] | None) -> str:
    if analysis.observation is None:
        said = [_head(analysis), _failure(analysis), _conformance(card), _prompt(analysis), _provenance(analysis)]
        return tag("article", "".join(said))
    strip = strip_of(analysis, labels=labels, granularity=granularity)
    parts = [
        _head(analysis),
        _figures(analysis),
        _notices(analysis),
        _conformance(card),
        _prompt(analysis),
        tag("section", tag("h2", "Credit of each " + granularity) + lanes_html(strip)),
        _sums(strip),
        _curves(strip),
        _table(strip),
        _read(analysis),
        _provenance(analysis),
    ]
    return tag("article", "".join(parts))


def _head(analysis: Analysis) -> str:
    name = f"{analysis.example.id}: {TITLE}" if analysis.example.id else TITLE
    return tag("header", tag("h1", escape(name)) + tag("p", escape(analysis.source.model), class_="model"))


def _failure(analysis: Analysis) -> str:
    return tag("p", f"This response could not be analysed: {escape(analysis.error)}", class_="notice")


def _figures(analysis: Analysis) -> str:
    shown = {"score": analysis.score, "P₀, before the response": analysis.base}
    if analysis.observation and analysis.observation.has_end:
        shown["closing tokens"] = analysis.closing
    figures = [tag("dt", name) + tag("dd", number(value)) for name, value in shown.items()]
    figures.append(tag("dt", escape(analysis.unit) + "s") + tag("dd", str(len(analysis.offsets))))
    return tag("dl", "".join(tag("div", f) for f in figures), class_="figures")


def _notices(analysis: Analysis) -> str:
    return "".join(tag("p", escape(notice), class_="notice") for notice in analysis.notices)


def _conformance(card: Mapping[str, Any] | None) -> str:
    """Whether redviz reads this model right: the verdict, and every check that a reader should know of."""
    if card is None:
        return ""
    verdict = tag("p", escape(f"conformance: {card['verdict']}, verified up to {card['verified_length']} tokens"))
    rows = [
        tag(
            "li",
            tag("b", escape(f"{check['verdict']}: {check['title']}")) + escape(f" {check['figure']} {check['remedy']}"),
        )
        for check in card["checks"]
        if check["verdict"] != "green"
    ]
    return tag("section", verdict + (tag("ul", "".join(rows)) if rows else ""), class_="conformance")


def _prompt(analysis: Analysis) -> str:
    prompt = analysis.prompt
    turns = [{"role": "prompt", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    rows = [tag("dt", escape(turn.get("role", ""))) + tag("dd", escape(shown_text(turn)), dir="auto") for turn in turns]
    return tag("section", tag("h2", "Prompt") + tag("dl", "".join(rows), class_="turns"))


def _sums(strip: Strip) -> str:
    if not strip.lanes:
        return ""
    heads = ["method", "reference", "Σ credits", "residual", "total"]
    options = {lane.label: _options(strip.analysis.credits[lane.label]) for lane in strip.lanes}
    told = any(options.values())
    rows = []
    for lane in strip.lanes:
        row = tag("th", escape(lane.name), scope="row") + _promise(strip.analysis.credits[lane.label], lane.total)
        rows.append(tag("tr", row + (tag("td", escape(options[lane.label]), class_="text") if told else "")))
    heads += ["options"] if told else []
    table = tag("table", tag("thead", _row("th", heads)) + tag("tbody", "".join(rows)), class_="sums")
    note = tag("p", "reference + Σ credits + residual = total, for every method that promises a sum.", class_="note")
    return tag("section", tag("h2", "Sums") + table + note)


def _promise(credit: Credit, total: float) -> str:
    if credit.total is None or credit.reference is None or credit.residual is None:
        return tag("td", "–") + tag("td", signed(total)) + tag("td", "promises no sum", colspan=2, class_="note")
    residual = credit.residual if abs(credit.residual) > 1e-6 * max(1.0, abs(credit.total)) else 0.0
    return "".join(
        tag("td", t) for t in (number(credit.reference), signed(total), signed(residual), number(credit.total))
    )


def _options(credit: Credit) -> str:
    return ", ".join(f"{key} = {value}" for key, value in (credit.meta.get("options") or {}).items())


def _curves(strip: Strip) -> str:
    analysis, n = strip.analysis, len(strip.analysis.offsets)
    if not n:
        return ""
    after = [analysis.score] if strip.has_end else []
    prefix = Series("P_t", [*map(float, analysis.prefix_scores), *after], colour=0)
    marks = [Level("P₀", analysis.base), Level("score", analysis.score)]
    panels = [Panel("Prefix score", [prefix], marks, x0=-1, note="the score if the response ended here")]
    if strip.lanes:
        shares = [[*analysis.credits[lane.label].own, *([lane.end] if after else [])] for lane in strip.lanes]
        sums = [Series(lane.name, np.cumsum(s), i) for i, (lane, s) in enumerate(zip(strip.lanes, shares, strict=True))]
        panels.append(Panel("Cumulative credit", sums))
    figures = [
        tag(
            "figure",
            tag("figcaption", tag("b", indexed(p.title)) + tag("span", escape(p.note), class_="note") + legend(p))
            + line_chart(p, n, strip.has_end, analysis.unit),
        )
        for p in panels
    ]
    return tag("section", tag("h2", "Curves") + "".join(figures))


def _table(strip: Strip) -> str:
    analysis, n = strip.analysis, len(strip.analysis.offsets)
    heads = ("", analysis.unit, "id", "P", *(lane.name for lane in strip.lanes))
    own = [analysis.credits[lane.label].own for lane in strip.lanes]  # [method][T]
    rows = []
    for t, (token, id, score) in enumerate(
        zip(analysis.tokens, analysis.token_ids, analysis.prefix_scores[1:], strict=True)
    ):
        head = tag("th", str(t + 1), scope="row") + tag("td", marked(token), class_="text", dir="auto")
        rows.append(_credited(strip, head + tag("td", str(id)), float(score), [float(values[t]) for values in own]))
    if strip.has_end:
        head = tag("th", "", scope="row") + tag("td", tag("i", "end"), class_="text") + tag("td")
        rows.append(_credited(strip, head, analysis.score, [lane.end for lane in strip.lanes]))
    table = tag("table", tag("thead", _row("th", heads)) + tag("tbody", "".join(rows)), class_="by-token rv")
    summary = tag("summary", tag("h2", "Token table"))
    return tag("details", summary + table, open="" if n <= OPEN_TABLE else None)


def _credited(strip: Strip, head: str, score: float, values: Sequence[float]) -> str:
    """A row of the token table: what stands there, the score up to it, and what each method gives it."""
    cells = [
        tag("td", signed(value) + tag("i", class_="swatch", style=f"background:{shade(value, lane.limit)}"))
        for lane, value in zip(strip.lanes, values, strict=True)
    ]
    return tag("tr", head + tag("td", number(score)) + "".join(cells))


def _read(analysis: Analysis) -> str:
    if analysis.observation is None:
        return ""
    encoding = analysis.observation.encoding
    parts = []
    for column, piece in enumerate(encoding.pieces):
        kind = "inside" if encoding.start <= column < encoding.stop else "outside"
        text = tag("span", marked(piece), class_=kind, title=f"column {column}, id {int(encoding.ids[column])}")
        parts.append(tag("mark", text + tag("small", "score read here")) if column == encoding.read else text)
    note = tag("p", "The text with its template; the response stands out.", class_="note")
    return tag("section", tag("h2", "What the model read") + note + tag("div", "".join(parts), class_="read"))


def _provenance(analysis: Analysis) -> str:
    source = analysis.source
    encoding = analysis.observation.encoding if analysis.observation else None
    rows = {
        "model": source.model,
        "revision": source.revision,
        "fingerprint": source.fingerprint,
        "dtype": source.dtype,
        "device": source.device,
        "template": source.template,
        "template hash": source.template_hash,
        "reading column": f"{encoding.read} of 0 to {len(encoding.ids) - 1}" if encoding else "",
        "heads": ", ".join(source.heads),
        "report by": f"redviz {__version__}",
        **source.versions,
    }
    body = "".join(
        tag("tr", tag("th", escape(k), scope="row") + tag("td", escape(v), class_="text")) for k, v in rows.items() if v
    )
    return tag("section", tag("h2", "Where this comes from") + tag("table", body, class_="source"))


def _row(kind: str, texts: Sequence[str]) -> str:
    return tag("tr", "".join(tag(kind, escape(text), scope="col") for text in texts))
