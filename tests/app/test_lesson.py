"""The lesson: every link opens what it says, every sentence it quotes is said by the scene, every figure is there and small."""

import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from scene_bench import drawn, sentences

from redviz.app.engine import Engine
from redviz.app.learn.scenes.scene import values_of
from redviz.app.learn.scenes.table import SCENES

ROOT = Path(__file__).parents[2]
LESSON = (ROOT / "docs" / "lesson.md").read_text()
LINK = r"<(http://localhost:8501/learn\?[^>]+)>"
FOUND = re.findall(LINK + r"|^> (.+)$", LESSON, re.MULTILINE)
LINKS = [link for link, _ in FOUND if link]


@pytest.fixture(scope="module")
def engine():
    made = Engine()
    yield made
    made.close()


def quotes():
    """(link, sentence) of every quotation: it is of one of the links before it in its part."""
    for part in LESSON.split("\n## ")[1:]:
        links = []
        for link, quote in re.findall(LINK + r"|^> (.+)$", part, re.MULTILINE):
            if link:
                links.append(link)
            else:
                yield tuple(links), quote


def knobs(link):
    query = {name: values[0] for name, values in parse_qs(urlparse(link).query).items()}
    values, problem = values_of(SCENES[query["scene"]], query)
    assert not problem and set(query) == {"scene", *values}, link
    return SCENES[query["scene"]], values


@pytest.mark.parametrize("link", LINKS)
def test_a_link_names_a_scene_and_sets_all_its_knobs(link):
    if "scene=kl&" in link or "scene=mix&" in link:  # homework: any response will do
        query = parse_qs(urlparse(link).query)
        assert not values_of(SCENES[query["scene"][0]], {n: v[0] for n, v in query.items()})[1]
    else:
        knobs(link)


@pytest.mark.parametrize(("links", "quote"), list(quotes()))
def test_what_the_lesson_quotes_is_what_the_scene_says(links, quote, engine):
    scene, values = knobs(links[-1])
    said = re.sub(r"[*$]", "", sentences(drawn(scene, engine, values)))
    assert quote in said


def test_the_figures_are_those_that_the_script_draws_and_they_are_small():
    sys.path.insert(0, str(ROOT / "tools"))
    from make_lesson import FIGURES

    shown = set(re.findall(r"!\[[^\]]+\]\(lesson/([^)]+)\.svg\)", LESSON))
    files = list((ROOT / "docs" / "lesson").iterdir())
    assert shown == set(FIGURES) == {file.stem for file in files}
    assert (
        all(file.read_text().startswith("<svg") for file in files) and sum(f.stat().st_size for f in files) < 1_000_000
    )


def test_its_minutes_add_up():
    spans = [tuple(map(int, span)) for span in re.findall(r"^\| (\d+)–(\d+) \|", LESSON, re.MULTILINE)]
    heads = [tuple(map(int, span)) for span in re.findall(r"^## (\d+)–(\d+):", LESSON, re.MULTILINE)]
    assert spans == heads and spans[0][0] == 0 and spans[-1][1] == 45
    assert all(before[1] == after[0] for before, after in zip(spans, spans[1:], strict=False))
