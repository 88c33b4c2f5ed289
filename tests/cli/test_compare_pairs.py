"""``redviz compare`` with a model that scores pairs, and the commands that refuse one."""

import json

import pytest
import tiny_pairs

import redviz
from redviz.cli.main import main

PROMPT = "Review the film."
ONE, TWO, THREE = "A superb film.", "A dull film, it drags on.", "Fine."


@pytest.fixture
def run(capsys):
    """Run redviz in this process: (exit code, stdout, stderr)."""

    def command(*args: object) -> "tuple[int, str, str]":
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return command


def ask(*more: object) -> list[object]:
    given = ["compare", "--model", tiny_pairs.checkpoint(), "--device", "cpu", "--prompt", PROMPT]
    return [*given, *(f"--response={text}" for text in (ONE, TWO, THREE)), *more]


@pytest.fixture(scope="module")
def want():
    return redviz.compare(
        redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu"), PROMPT, [ONE, TWO, THREE]
    )


def test_json_is_the_library_s_pairs(run, want):
    code, out, err = run(*ask("--json"))
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert got.pop("names") == ["1", "2", "3"]
    assert got == json.loads(json.dumps(want.to_dict()))


def test_the_table_has_every_pair_in_both_orders_and_the_ranking(run, want):
    code, out, _ = run(*ask())
    assert code == 0 and "there is no score of one response, so there are no strips" in out
    blocks = out.split("\n\n")
    pairs = blocks[2].splitlines()[1:]
    for line, (i, j) in zip(pairs, want.pairs, strict=True):
        assert line.startswith(f"{i + 1} over {j + 1}")
        margin, probability, *orders = map(float, line.split()[3:])
        assert margin == pytest.approx(want.margin(i, j), abs=1e-3)
        assert probability == pytest.approx(want.probability(i, j), abs=1e-3)
        expected = [want.shown_first[i, j], want.shown_second[i, j], want.order_effects[i, j]]
        assert orders == pytest.approx(expected, abs=1e-3)
    assert [line.split()[1] for line in blocks[3].splitlines()[1:]] == [str(i + 1) for i in want.ranking]


def test_what_means_nothing_to_it_is_refused(run):
    code, _, err = run(*ask("--methods", "red", "--head", "1"))
    assert code == 2 and "judges pairs and gives no credits to tokens; leave --methods, --head out (" in err


def test_occlusion_shows_the_words_that_change_the_margin_of_the_first_most(run):
    model = redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu")
    want = redviz.compare(model, PROMPT, [ONE, TWO, THREE], ["occlusion"])
    code, out, _ = run(*ask("--methods", "occlusion", "--top", "2"))
    assert code == 0
    blocks = [block.splitlines() for block in out.split("\n\n") if block.startswith("occlusion:")]
    for block, words in zip(blocks, want.words, strict=True):
        assert block[0].endswith(f"the margin of 1 over {words.second + 1}")
        shown = [float(line.split()[-1]) for line in block[2:4]]
        assert shown == pytest.approx([row.value for row in words.largest[:2]], abs=1e-3)
        assert block[4] == f"({len(words.rows) - 2} more)"


def test_commands_that_score_one_response_name_the_way_on(run):
    model = tiny_pairs.checkpoint()
    for args in (
        ["doctor", "--model", model],
        ["analyze", "--model", model, "--prompt", PROMPT, "--response", ONE],
        ["compare", "--model", model, "--model2", "embedded:sentiment", "--prompt", PROMPT, "--response", ONE],
    ):
        code, out, err = run(*args)
        assert (code, out) == (2, "")
        assert "gives no score to one; use Compare or `redviz compare`" in err and err.count("\n") == 1
