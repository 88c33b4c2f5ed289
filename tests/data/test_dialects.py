"""Every dialect of data sets that the docs name: what is read in the three rows that stand there."""

import json
import re
from pathlib import Path

import pytest

from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.items import DataItem
from redviz.data.sets.schemas import SCHEMAS

DOCS = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
SECTION = re.compile(r"^## (.+)\n\n(.+)\n\n~~~jsonl\n([\s\S]+?)\n~~~\n\n~~~text\n([\s\S]+?)\n~~~", re.MULTILINE)
DIALECTS = [match.groups() for match in SECTION.finditer(DOCS)]
TABLE = dict(re.findall(r"^\| \[([^]]+)\].*\| (\w+) \|$", DOCS, re.MULTILINE))


def prompt_text(prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    turns = []
    for turn in prompt:
        beside = {name: value for name, value in turn.items() if name not in ("role", "content", "written")}
        turns.append(f"{turn['role']}: {turn['content']}" + (f" {json.dumps(beside)}" if beside else ""))
    return " / ".join(turns)


def told(item: DataItem) -> str:
    """An item in one line: prompt => role: response (rating) [steps]."""
    parts = []
    for candidate in item.candidates:
        text = f"{candidate.role}: {candidate.response}" if candidate.role else candidate.response
        if candidate.rating is not None:
            text += f" ({candidate.rating:g})"
        if candidate.spans:
            text += " " + ", ".join(f"[{candidate.response[s.start : s.end]}] {s.label}" for s in candidate.spans)
        if candidate.prompt is not None:
            text += f" after {prompt_text(candidate.prompt)}"
        parts.append(text)
    return f"{prompt_text(item.prompt)} => {' | '.join(parts)}".replace("\n", "⏎")


@pytest.mark.parametrize(("name", "sentence", "rows", "read"), DIALECTS, ids=[dialect[0] for dialect in DIALECTS])
def test_a_dialect_is_read_as_the_docs_say(name, sentence, rows, read):
    dataset = open_dataset(rows.encode(), "rows.jsonl")
    assert [told(item) for item in dataset.items()] == read.split("\n")
    assert (dataset.rows, dataset.problems, dataset.detected.schema) == (3, [], TABLE[name])
    assert sentence.startswith(dataset.detected.sentence)
    again = open_dataset(rows.encode(), "rows.jsonl", mapping=dataset.detected.mapping)
    assert [told(item) for item in again.items()] == read.split("\n")


def test_the_table_names_every_dialect_and_every_schema():
    assert list(TABLE) == [dialect[0] for dialect in DIALECTS]
    assert set(TABLE.values()) == {schema.name for schema in SCHEMAS}
