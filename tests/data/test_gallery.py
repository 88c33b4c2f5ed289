"""The gallery that ships with redviz, and the messages about a gallery that is broken."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redviz.data.gallery import GalleryItem, GalleryResponse, load_gallery
from redviz.errors import RedvizError
from redviz.models.rules.rules import RULES, load_rule

OUTSIDE = "outside what this model was trained on"
RULED = "outside what the embedded model was trained on: scored by a rule that "
SCORES = {  # of the responses a, b, ... under the item's rule
    "code-median": [1.0, 0.8],
    "code-count-words": [1.0, 1.0, 0.0],
    "dialogue-table": [1.0, 0.8, 0.4, 0.2],
    "dialogue-brakes": [1.0, 0.8, 0.4, 0.6],
    "summary-lantern-museum": [0.89, 0.58, 0.11, 0.64],
    "summary-night-bus": [0.92, 0.11, 0.08],
    "code-mean": [1.0, 0.8, 0.2, 0.0],
    "code-sign": [1.0, 0.85, 0.7, 0.0],
    "math-rolls": [1.0, 0.1, 0.0, 1.0],
    "math-lantern": [1.0, 0.1, 0.0],
}
ITEM: dict[str, Any] = {
    "id": "one",
    "title": "One",
    "kind": "dialogue",
    "note": "a note",
    "prompt": [{"role": "user", "content": "Hello"}],
    "responses": [{"id": "a", "text": "Good\u200bbye"}],
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "gallery.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_shape_of_the_shipped_gallery() -> None:
    gallery = load_gallery()
    assert len(gallery) >= 14
    assert len({item.id for item in gallery}) == len(gallery)
    assert all(2 <= len(item.responses) <= 4 for item in gallery)
    assert all(response.text for item in gallery for response in item.responses)
    counts = Counter(item.kind for item in gallery)
    assert counts == {"review": 15, "dialogue": 4, "code": 4, "summary": 2, "math": 2}
    strange = [item for item in gallery if item.kind != "review"]
    assert [item.id for item in gallery if item.note == OUTSIDE] == [item.id for item in strange if not item.rule]
    assert [item.id for item in gallery if item.note.startswith(RULED)] == [item.id for item in strange if item.rule]


def test_the_first_items_keep_their_order() -> None:
    ids = [item.id for item in load_gallery()]
    assert ids[0] == "film-quiet-street"
    assert ids[14:19] == [
        "difficult-characters",
        "dialogue-houseplant",
        "dialogue-bicycle",
        "code-median",
        "code-count-words",
    ]


def test_every_response_earns_under_its_rule_what_it_was_written_for() -> None:
    ruled = [item for item in load_gallery() if item.rule]
    assert {item.rule for item in ruled} == set(RULES)
    found = {
        item.id: load_rule(item.rule).score_texts(item.prompt, [response.text for response in item.responses])
        for item in ruled
    }
    assert list(found) == list(SCORES)
    for id, scores in SCORES.items():
        np.testing.assert_allclose(found[id], scores, rtol=0, atol=1e-6, err_msg=id)
        assert max(scores) - min(scores) > 0.19


def test_one_number_is_the_whole_difference() -> None:
    (rolls,) = [item for item in load_gallery() if item.id == "math-rolls"]
    right, wrong = rolls.responses[0].text.split(), rolls.responses[1].text.split()
    assert [pair for pair in zip(right, wrong, strict=True) if pair[0] != pair[1]] == [("16", "18")]


def test_only_items_that_need_a_reference_answer_have_one() -> None:
    assert {item.id for item in load_gallery() if item.answer} == {
        item.id for item in load_gallery() if item.rule == "rule:exact-answer"
    }


def test_first_response_turns_and_ends_with_a_verdict() -> None:
    text = load_gallery()[0].responses[0].text
    assert 45 <= len(text.split()) <= 60
    assert 0 < text.index("charming") < text.index("But") < text.index("tedious") < text.index("moving")


def test_conversations_take_turns_and_end_with_the_user() -> None:
    for item in load_gallery():
        if not isinstance(item.prompt, str):
            roles = [message["role"] for message in item.prompt]
            assert roles == ["user", *["assistant", "user"] * (len(roles) // 2)]
            assert len(roles) >= 3 or item.kind != "dialogue"
        else:
            assert item.kind != "dialogue"


def test_code_holds_fenced_blocks_with_spaces_and_tabs() -> None:
    code = "".join(response.text for item in load_gallery() if item.kind == "code" for response in item.responses)
    assert "```python\ndef" in code and "\n        " in code and "\n\t\tcounts" in code


@pytest.mark.parametrize(
    "hostile",
    [
        "👨\u200d👩\u200d👧\u200d👦",  # one family, seven code points
        "🇨🇭",
        "👍🏽",
        "cafe\u0301",
        "فيلم",
        "电影",
        "zero\u200bwidth",
        "\n\n\tA tab, then  two",
        "\r\n",
        "<script>alert(1)</script>",
        "<img src=x onerror=",
        "</s>",
    ],
)
def test_difficult_characters_survive_the_file(hostile: str) -> None:
    (item,) = [item for item in load_gallery() if item.title == "Difficult characters"]
    assert any(hostile in response.text for response in item.responses)


def test_characters_that_editors_hide_are_written_as_escapes() -> None:
    written = Path(__file__).parents[2].joinpath("sample_data/gallery.jsonl").read_text(encoding="utf-8")
    assert not set(written) & set("\u200b\u200d\ufe0f\u0301\u00a0")


def test_an_item_is_read_whole(tmp_path: Path) -> None:
    (item,) = load_gallery(write(tmp_path, ITEM, ""))
    messages = ({"role": "user", "content": "Hello"},)
    assert item == GalleryItem("one", "One", "dialogue", "a note", messages, (GalleryResponse("a", "Good\u200bbye"),))
    assert (item.rule, item.answer) == ("", "")
    (ruled,) = load_gallery(write(tmp_path, {**ITEM, "rule": "rule:exact-answer", "answer": "42"}))
    assert (ruled.rule, ruled.answer) == ("rule:exact-answer", "42")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{", "not JSON"),
        ([ITEM], "keys id, kind, note"),
        ({**ITEM, "id": "two", "extra": 1}, "keys id, kind, note, prompt, responses, title, and perhaps answer, rule"),
        ({**ITEM, "id": "two", "rule": None}, "rule is null, expected text"),
        ({**ITEM, "id": "two", "answer": 42}, "answer is a number, expected text"),
        ({**ITEM, "id": "two", "kind": "poem"}, "kind is 'poem', expected one of review, dialogue, code"),
        ({**ITEM, "id": "two", "responses": []}, "responses is not a list"),
        ({**ITEM, "id": "two", "responses": ["text"]}, "keys id, text;"),
        ({**ITEM, "id": "two", "responses": ITEM["responses"] * 2}, "the id 'a' occurs twice"),
        ({**ITEM, "id": "two", "prompt": None}, "prompt is null, expected text"),
        (ITEM, "the id 'one' occurs twice"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, second: Any, reason: str) -> None:
    with pytest.raises(RedvizError, match=f"line 2: .*{reason}"):
        load_gallery(write(tmp_path, ITEM, second))


def test_a_missing_gallery_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RedvizError, match="absent.jsonl cannot be read"):
        load_gallery(tmp_path / "absent.jsonl")
