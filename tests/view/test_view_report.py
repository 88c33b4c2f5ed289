"""Reports: one file, no script, no network, and nothing a response says becomes markup."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from redviz import __version__
from redviz.records import Credit, Example
from redviz.view.report import report, reports, strips_html
from tests.browser import analyses

SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def with_hostile_names():
    made = analyses.hostile()
    source = replace(made.source, model=SCRIPT, versions={SCRIPT: '"><b>'})
    credits = {f"{label}{SCRIPT}": credit for label, credit in made.credits.items()}
    prompt = ({"role": SCRIPT, "content": SCRIPT},)
    return replace(made, source=source, credits=credits, example=Example(prompt, made.response, SCRIPT))


@pytest.mark.parametrize("draw", [report, strips_html])
def test_nothing_becomes_markup_and_nothing_is_loaded(draw):
    page = Page(draw(with_hostile_names()))
    assert page.open == []
    assert set(page.tags).isdisjoint({"script", "img", "iframe", "link", "object", "embed", "base", "form"})
    assert not [a for a in page.attributes if a[1].startswith("on") or a[1] in ("src", "href", "srcset", "action")]
    assert SCRIPT in page.text
    assert not re.search(r"url\(|@import|https?:", draw(with_hostile_names()))


def test_the_report_holds_what_a_reader_needs():
    made = analyses.worked(0.1)
    page = Page(report(made))
    for words in (
        "embedded:sentiment",
        "How was it?",
        "promises no sum",
        "score read here",
        "0123abcd",
        "Prefix score",
    ):
        assert words in page.text
    titles = [value for tag, key, value in page.attributes if tag == "span" and key == "title"]
    assert any(t.startswith("film") and "RED −0.600" in t and "P1 0.500 → P2 −0.100" in t for t in titles)
    assert any(t.startswith("end") and "RED +0.100" in t for t in titles)


def test_every_sum_is_shown_with_its_residual():
    meta = {"options": {"beta_c": 1.0}}
    credits = {"red": Credit(np.array([0.5, 0.5], np.float32), total=1.5, reference=0.2, meta=meta)}
    page = Page(report(analyses.analysis_of(("a", "b"), [0.2, 0.7, 1.5], credits)))
    row = "".join(page.words[page.words.index("options") + 1 :])
    assert row.startswith("RED0.200+1.00+0.3001.50beta_c = 1.0")


def test_the_token_table_and_the_curve_end_as_the_strip_does():
    html = report(analyses.worked(closing=5.0), labels=["red"])
    table = html[html.rindex("by-token") :]
    rows = [Page(f"<tr{row}").words for row in re.findall(r"<tr(.*?</tr>)", table)[1:6]]
    assert rows[3] == ["4", " superb", "105", "1.40", "+0.500"]
    assert rows[4] == ["end", "6.40", "+5.00"]
    prefix, credit = re.findall(r'd="(M[^"]*)"', html)
    points = [re.findall(r"[ML]([\d.]+) ", path) for path in (prefix, credit)]
    assert points[1] == points[0][1:] and len(points[1]) == 5  # both reach the end cell
    assert "<i>end</i></td>" not in report(analyses.worked())


def test_the_report_says_by_which_redviz_and_where_the_score_was_read():
    text = Page(report(analyses.worked(0.1))).text
    assert f"report byredviz {__version__}" in text
    assert "reading column6 of 0 to 6" in text


def test_the_report_shows_the_verdict_and_only_what_is_not_green():
    checks = [
        {"name": "own_score", "title": "Own score", "verdict": "green", "figure": "0", "remedy": ""},
        {"name": "weights", "title": SCRIPT, "verdict": "amber", "figure": "2 new", "remedy": "Look at the head."},
    ]
    html = report(analyses.worked(), card={"verdict": "amber", "verified_length": 512, "checks": checks})
    page = Page(html)
    assert "conformance: amber, verified up to 512 tokens" in page.words
    assert page.tags.count("li") == 1 and f"amber: {SCRIPT} 2 new Look at the head." in page.text
    assert SCRIPT not in html
    assert "conformance: " not in Page(report(analyses.worked())).text


def test_a_cut_response_says_so_and_shows_what_was_never_read():
    said = "The response was cut: its last 7 of 9 tokens do not fit."
    cut = {"response": "ab and more", "offsets": ((0, 1), (1, 2)), "truncated": 7, "notices": (said,)}
    page = Page(report(analyses.drawn(("a", "b"), **cut)))
    assert [value for _, key, value in page.attributes if key == "class"].count("notice") == 1
    assert said in page.words
    assert " and more" in page.words


def test_a_failed_example_says_why():
    failed = replace(analyses.worked(), observation=None, credits={}, error=f"too long {SCRIPT}")
    for draw in (report, strips_html):
        assert f"too long {SCRIPT}" in Page(draw(failed)).text


def test_an_empty_response_has_a_report():
    assert "The response is empty" in Page(report(analyses.analysis_of((), [0.2], {}))).text


def test_several_analyses_stand_on_one_page():
    page = Page(reports([analyses.worked(), analyses.long(30)]))
    assert page.tags.count("article") == 2
    assert page.tags.count("style") == 1


def test_a_lone_surrogate_does_not_break_the_file():
    report(analyses.drawn(("a\ud800", "b"))).encode()


def test_the_library_hands_the_report_out():
    assert "<article>" in analyses.worked().to_html()
    assert "rv lanes" in analyses.worked()._repr_html_()


def test_reports_need_neither_streamlit_nor_plotly():
    code = "import sys, redviz.view.report, redviz.view.svg; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"streamlit", "plotly", "torch"}.isdisjoint(loaded)
