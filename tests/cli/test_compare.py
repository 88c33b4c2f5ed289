"""``redviz compare``: the numbers of ``redviz.compare``, as a table or as JSON."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from redviz.cli.comparison_text import comparison_text, models_text
from redviz.cli.main import main
from redviz.comparison import compare, compare_models

PROMPT = "Review the film."
ONE, TWO, THREE = "A superb film. I did like it.", "A superb film? I did not like it at all , it drags .", "Dull."


@pytest.fixture
def run(capsys):
    """Run redviz in this process: (exit code, stdout, stderr)."""

    def command(*args: object) -> "tuple[int, str, str]":
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return command


def ask(*responses: str, flag: str = "--response", **others: object) -> list[object]:
    given = ["compare", "--model", Path(tiny.model().name), "--device", "cpu", "--prompt", PROMPT]
    given += [part for response in responses for part in (flag, response)]
    return given + [part for name, value in others.items() for part in (f"--{name}", value)]


def numbers_of(line: str) -> list[float]:
    return [float(word) for word in line.split() if word[0] in "+-" and len(word) > 1]


def test_json_is_the_library_s_comparison(run):
    code, out, err = run(*ask(ONE, TWO, THREE, methods="red,abc"), "--json")
    want = compare(tiny.model(), PROMPT, [ONE, TWO, THREE], ["red", "abc"])
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert got.pop("names") == ["1", "2", "3"]
    assert got == json.loads(json.dumps(want.to_dict()))


def test_options_and_granularity_reach_it(run):
    args = ask(ONE, TWO, methods="red", option="red.beta_c=0.5", granularity="sentence")
    got = json.loads(run(*args, "--json")[1])
    want = compare(tiny.model(), PROMPT, [ONE, TWO], {"red": {"beta_c": 0.5}}).to_dict("sentence")
    assert got["shares"] == json.loads(json.dumps(want["shares"]))


def test_the_table_says_what_the_library_says(run):
    out = run(*ask(ONE, TWO, THREE, methods="red"))[1]
    found = compare(tiny.model(), PROMPT, [ONE, TWO, THREE], ["red"])
    blocks = out.split("\n\n")
    head, *rows = blocks[1].splitlines()
    assert head.split()[:3] == ["response", "tokens", "score"] and "margin of 1" in head
    for j, row in enumerate(rows):
        cells = row.split()
        assert cells[:2] == [str(j + 1), str(len(found.analyses[j].tokens))]
        assert numbers_of(row)[0] == pytest.approx(found.analyses[j].score, abs=1e-3)
        if j:
            assert numbers_of(row)[1] == pytest.approx(found.margin(0, j), abs=1e-3)
            assert float(cells[4]) == pytest.approx(found.probability(0, j), abs=1e-3)
        assert f"token {found.parts[j].token + 1}, " in row
    assert blocks[2] == found.length_remark


def test_every_table_of_shares_adds_up_to_the_margin(run):
    out = run(*ask(ONE, TWO, THREE, methods="red,abc", top=3))[1]
    found = compare(tiny.model(), PROMPT, [ONE, TWO, THREE], ["red", "abc"])
    blocks = [block.splitlines() for block in out.split("\n\n") if "what makes the margin" in block]
    assert len(blocks) == 4
    for shares, (title, _, *lines) in zip(found.all_shares(), blocks, strict=True):
        assert title == f"{shares.label}: what makes the margin of 1 over {shares.second + 1}"
        rows = [line for line in lines if " = margin " not in line and not line.startswith("note: ")]
        assert len(rows) == 4 and f"({len(shares.rows) - 3} more)" in rows[-1]
        values = [numbers_of(row)[-1] for row in rows]
        assert values[:3] == pytest.approx([row.value for row in shares.largest[:3]], abs=1e-3)
        assert sum(values) == pytest.approx(found.margin(0, shares.second), abs=4e-3)
        (sums,) = (line for line in lines if " = margin " in line)
        *parts, margin = numbers_of(sums)
        assert sum(parts) == pytest.approx(margin, abs=4e-3)
        assert margin == pytest.approx(found.margin(0, shares.second), abs=1e-3)
        assert any(line.startswith("note: abc credits the shared beginning") for line in lines) == (
            "shared" in {row.kind for row in shares.rows}
        )


def test_top_0_shows_every_span():
    found = compare(tiny.model(), PROMPT, [ONE, TWO], ["red"])
    text = comparison_text(found, ["1", "2"], "word", 0)
    assert " more)" not in text and text.count("(end)") == 2
    assert len(text.split("\n\n")[-1].splitlines()) == len(found.shares(0, 1).rows) + 3


def test_methods_without_a_sum_are_told_apart():
    found = compare(tiny.model(), PROMPT, [ONE, TWO], ["grad_x_input"])
    assert comparison_text(found, ["1", "2"], "word", 5).endswith(
        "grad_x_input: this method promises no sum, so its credits are no shares of a margin."
    )


def test_a_pair_by_its_names(run):
    args = ["compare", "--model", Path(tiny.model().name), "--prompt", PROMPT, "--methods", "red"]
    out = run(*args, "--chosen", ONE, "--rejected", TWO)[1]
    assert "red: what makes the margin of chosen over rejected" in out and "margin of chosen" in out
    assert json.loads(run(*args, "--chosen", ONE, "--rejected", TWO, "--json")[1])["names"] == ["chosen", "rejected"]


def test_responses_come_from_files_too(run, tmp_path):
    (tmp_path / "two.txt").write_text(TWO + "\n")
    args = ask(ONE, methods="red")
    got = json.loads(run(*args, "--response-file", tmp_path / "two.txt", "--json")[1])
    assert [analysis["response"] for analysis in got["analyses"]] == [ONE, TWO]


def test_what_people_write_cannot_drive_the_terminal(run):
    out = run(*ask("A film\x1b[31m", "A film\n\x1b[2J!", methods="red"))[1]
    assert "\x1b" not in out and "↵" in out


def test_one_response_under_two_models(run, sentiment):
    args = ask(ONE, methods="red,abc", model2="embedded:sentiment")
    want = compare_models(tiny.model(), sentiment, PROMPT, ONE, ["red", "abc"])
    code, out, err = run(*args, "--json")
    assert (code, err) == (0, "") and json.loads(out) == json.loads(json.dumps(want.to_dict()))
    head, rows = run(*args)[1].rstrip("\n").split("\n\n")
    assert [line.split()[1] for line in head.splitlines()[1:]] == [tiny.model().name, "embedded:sentiment"]
    names, *lines = rows.splitlines()
    assert names.split() == ["word", "P_t", "a", "P_t", "b", "red", "a", "red", "b", "abc", "a", "abc", "b"]
    assert len(lines) == len(want.spans()) and lines[-1].startswith("(end)")
    for line, span in zip(lines, want.spans(), strict=True):
        assert numbers_of(line)[-4:-2] == pytest.approx(span.credits["red"], abs=1e-3)
        assert numbers_of(line)[:2] == pytest.approx(span.prefix_scores, abs=1e-3)
    assert models_text(want, "word") in run(*args)[1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Give the responses: --response TEXT as often as needed, or --chosen"),
        (["--response", "A film."], "There is 1 response to compare; give two to 6"),
        ([part for n in range(7) for part in ("--response", n)], "There are 7 responses"),
        (["--response", "A", "--response", "A"], "Responses 1 and 2 are the same text"),
        (["--response", "A", "--response", ""], "Response 2 is empty"),
        (["--chosen", "A"], "A pair needs both --chosen and --rejected"),
        (["--chosen", "A", "--rejected", "B", "--response", "C"], "Give the responses once"),
        (["--response", "A", "--response", "B", "--model2", "m"], "--model2 compares two models on one response"),
        (["--response", "A", "--response", "B", "--top", "-1"], "--top is -1"),
        (["--response", "A", "--response", "B", "--granularity", "letter"], "use one of token, word, sentence"),
        (["--response", "A", "--response", "B", "--messages", "[]"], "Give the prompt once"),
    ],
)
def test_bad_usage_is_one_sentence(run, args, said):
    code, out, err = run(*ask(), *args)
    assert (code, out) == (2, "") and err.startswith("redviz: ") and err.count("\n") == 1 and said in err


def test_a_partner_is_loaded_with_the_same_trust_as_the_model(run, tmp_path):
    folder = shutil.copytree(Path(tiny.model().name), tmp_path / "cost")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    args = ask(ONE, TWO, methods="red", option="red.alpha=0.5", **{"cost-model": folder})
    assert run(*args)[0] == 2
    code, out, err = run(*args, "--allow-pickle")
    assert (code, err) == (0, "") and "red: what makes the margin" in out
