"""A hundred rows, of which some are each bad in a way of their own: these have their errors, and the others what they would have alone."""

import copy
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tiny
import torch

import redviz
from redviz.batches import analyze_as_ready
from redviz.cli.main import main
from redviz.credit.recipes import recipes
from redviz.errors import Cancelled
from redviz.models.loading.load import load_reward_model
from redviz.records import Example
from redviz.runs.parts import ALONE, RunExample, score_chunk

REFUSES = (
    "{% for m in messages if m['role'] == 'critic' %}{{ raise_exception('no critics here') }}{% endfor %}" + tiny.CLOSED
)


@cache
def model():
    """It gives NaN for the character 9, knows no embedding of <|new|>, and its template refuses critics."""
    made = load_reward_model(str(tiny.checkpoint()), device="cpu")
    with torch.no_grad():
        made.module.get_input_embeddings().weight[made.tokenizer.convert_tokens_to_ids("9")] = torch.nan
    tokenizer = copy.deepcopy(made.tokenizer)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|new|>"]})
    tokenizer.chat_template = REFUSES
    return replace(made, tokenizer=tokenizer)


BAD = {
    7: (Example("How was it?", ""), "The response is empty"),
    18: (Example("word " * 600, "A film."), "prompt alone takes"),
    29: (Example("How was it?", "A 9 film."), "gives NaN as the score"),
    41: (Example("How was it?", "A <|new|> film."), "the token '<|new|>'"),
    52: (Example("How was it?", "\ud83d"), "half of a surrogate pair"),
    63: (Example(({"role": "critic", "content": "Hm."},), "A film."), "no critics here"),
    99: (
        Example("How was it?", "A film that breaks."),
        "It failed while running (IndexError: list index out of range).",
    ),
}


@pytest.fixture
def rows(monkeypatch):
    """What the runs give for a hundred examples; one of them makes the model itself fail, alone and beside others."""
    run = type(model()).run

    def failing(self, **inputs):
        if self.tokenizer.convert_tokens_to_ids("k") in inputs["input_ids"]:
            raise IndexError("list index out of range")
        return run(self, **inputs)

    monkeypatch.setattr(type(model()), "run", failing)
    words = ["superb", "dull", "funny", "moving", "thin"]
    examples = [
        Example("How was it?", f"A {words[n % 5]} film, " + "so " * (n % 9) + words[n // 20] + ".") for n in range(100)
    ]
    chunk = [RunExample(replace(BAD[n][0] if n in BAD else example, id=str(n))) for n, example in enumerate(examples)]
    return lambda batch_size: score_chunk(model(), chunk, recipes(["red"]), ALONE, batch_size)


@pytest.mark.parametrize("batch_size", [1, 8, 64, "auto"])
def test_93_results_and_7_errors_whatever_the_batch_size(rows, batch_size):
    found = rows(batch_size)
    assert [row["example_id"] for row in found] == [str(n) for n in range(100)]
    assert {n for n, row in enumerate(found) if row["error"]} == set(BAD)
    for n, (_, said) in BAD.items():
        assert said in found[n]["error"] and found[n]["score"] is None and found[n]["credits"] == []
    for row in found[::9]:
        if not row["error"]:
            encoding = model().encode(Example("How was it?", row["response"]))
            assert row["score"] == pytest.approx(tiny.own_score(model(), encoding.ids), abs=1e-4)
            assert np.sum(row["credits"]) == pytest.approx(row["score"] - row["base"], abs=1e-4)


def test_what_fails_in_a_method_is_named_beside_what_works(monkeypatch):
    def broken(*_, **__):
        raise ValueError("not enough values\nto unpack")

    monkeypatch.setattr("redviz.credit.from_records.abc.response_attention", broken)
    [found] = redviz.analyze_batch(tiny.model(), [Example("Hi", "A film.")], ["red", "abc"])
    assert list(found.credits) == ["red"]
    assert found.error == "abc: It failed while running (ValueError: not enough values to unpack)."


class AcceleratorError(RuntimeError):
    """As torch names it: after such an error the device takes no more work."""


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), Cancelled("enough"), AcceleratorError("device-side assert")])
def test_what_is_no_rows_own_fault_ends_the_run(ending, monkeypatch):
    def ends(*_, **__):
        raise ending

    monkeypatch.setattr(type(tiny.model()), "run", ends)
    with pytest.raises(type(ending)):
        list(analyze_as_ready(tiny.model(), [Example("Hi", "A film.")] * 3, recipes(["red"]), ALONE))


def test_memory_that_runs_out_still_halves(monkeypatch):
    run, widths = type(tiny.model()).run, []

    def small(self, **inputs):
        widths.append(len(inputs["input_ids"]))
        if widths[-1] > 2:
            raise torch.OutOfMemoryError("no")
        return run(self, **inputs)

    monkeypatch.setattr(type(tiny.model()), "run", small)
    found = list(redviz.analyze_batch(tiny.model(), [Example("Hi", "A film.")] * 8, ["red"], 8))
    assert widths == [8, 4, 2, 2, 2, 2] and not any(one.error for one in found)


@pytest.mark.parametrize("batch_size", ["1", "64"])
def test_rows_of_a_file_whose_text_cannot_be_read_are_rows_with_their_error(batch_size, tmp_path, capsys):
    """An empty response and half a character have no example; what is no row of the schema at all is left out, as ever."""
    lines = [json.dumps({"prompt": "How was it?", "response": f"A film, {'so ' * n}dull."}) for n in range(6)]
    lines[1] = '{"prompt": "How was it?", "response": ""}'
    lines[4] = '{"prompt": "How was it?", "response": "A \\ud83d film."}'
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"prompt": 3, "response": "A film."}']))
    given = [
        "--dataset",
        tmp_path / "rows.jsonl",
        "--model",
        tiny.checkpoint(),
        "--methods",
        "red",
        "--batch-size",
        batch_size,
    ]
    assert main(["score", *map(str, given), "--output", str(tmp_path / "out.jsonl"), "--device", "cpu"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [n for n, row in enumerate(rows) if row["error"]] == [1, 4] and len(rows) == 6
    assert rows[1]["error"] == "Line 2: the response is empty." and rows[1]["example_id"] == "2"
    assert rows[4]["error"] == "Line 5: response holds half a character (a lone surrogate)."
    err = capsys.readouterr().err
    assert "line 7: left out" in err and "line 2: left out" not in err
