"""Reports: one file, no script, no network, and nothing a response says becomes markup."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

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


def test_a_cut_response_says_so_and_shows_what_was_never_read():
    made = analyses.drawn(("a", "b"), response="ab and more", offsets=((0, 1), (1, 2)), truncated=7)
    page = Page(report(made))
    assert "The last 7 tokens of the response did not fit the model" in page.text
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
