"""The gallery that ships with redviz, and the messages about a gallery that is broken."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from redviz.data.gallery import GalleryItem, GalleryResponse, load_gallery
from redviz.errors import RedvizError

OUTSIDE = "outside what this model was trained on"
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
    assert counts["review"] >= 11 and counts["dialogue"] == 2 and counts["code"] == 2
    assert [item.id for item in gallery if item.note == OUTSIDE] == [i.id for i in gallery if i.kind != "review"]


def test_first_response_turns_and_ends_with_a_verdict() -> None:
    text = load_gallery()[0].responses[0].text
    assert 45 <= len(text.split()) <= 60
    assert 0 < text.index("charming") < text.index("But") < text.index("tedious") < text.index("moving")


def test_dialogues_end_with_the_user_after_an_assistant_turn() -> None:
    for item in load_gallery():
        if item.kind == "dialogue":
            assert not isinstance(item.prompt, str)
            assert [message["role"] for message in item.prompt] == ["user", "assistant", "user"]


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


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{", "not JSON"),
        ([ITEM], "keys id, kind, note"),
        ({**ITEM, "id": "two", "extra": 1}, "keys id, kind, note"),
        ({**ITEM, "id": "two", "kind": "poem"}, "kind is 'poem', expected one of review, dialogue, code"),
        ({**ITEM, "id": "two", "responses": []}, "responses is not a list"),
        ({**ITEM, "id": "two", "responses": ["text"]}, "keys id, text"),
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
