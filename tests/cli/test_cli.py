"""The command line: what it prints, and the one sentence that it says of every bad input."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
from huggingface_hub.errors import GatedRepoError
from safetensors.torch import load_file
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

import redviz
from redviz import settings
from redviz.cli.analyze import analysis_text
from redviz.cli.main import main
from redviz.cli.options import methods_with_options
from redviz.cli.terminal import bars, column, has_colour, shown, table
from redviz.errors import RedvizError
from redviz.evaluation.conformance import conformance
from redviz.models.running.attention import FAST

PROMPT, RESPONSE = "Review the film.", "A superb film. I did not like it."
ASK = ("--prompt", PROMPT, "--response", RESPONSE, "--device", "cpu")


def checkpoint() -> Path:
    """The folder that ``tiny.model()`` was loaded from."""
    return Path(tiny.model().name)


@pytest.fixture
def run(capsys):
    """Run redviz in this process: (exit code, stdout, stderr)."""

    def command(*args: object) -> "tuple[int, str, str]":
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint of one's own, to break."""
    return shutil.copytree(checkpoint(), tmp_path / "model")


def sentence(result: "tuple[int, str, str]", code: int = 2) -> str:
    """The one line on stderr of a command that failed with this code and printed nothing else."""
    found, out, err = result
    assert (found, out) == (code, "")
    assert "Traceback" not in err and err.startswith("redviz: ") and err.endswith(".\n") and err.count("\n") == 1
    return err.strip()


# ---------------------------------------------------------------- start


def test_help_and_methods_come_without_torch():
    code = "import sys; from redviz.cli.main import main; main(['--help']); main(['methods']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "analyze" in out and "doctor" in out and "serve" in out
    assert {"torch", "transformers", "pandas", "streamlit"} & set(out.splitlines()[-1].split()) == set()


def test_version_and_bare_command(run):
    assert run("--version") == (0, f"redviz {redviz.__version__}\n", "")
    assert run()[0] == 0 and "Usage: redviz" in run()[1]


def test_every_method_and_option_is_listed(run):
    _, out, _ = run("methods")
    for name, info in redviz.methods().items():
        assert info.paper in out and info.sums_to in out
        assert all(f"{name}.{key}" in out and option.help in out for key, option in info.options.items())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["analyze"], "Missing option '--model'; see redviz analyze --help."),
        (["analyse"], "No such command 'analyse'"),
        (["analyze", "--model", "m", "--max-length", "many"], "Invalid value for '--max-length'"),
        (["serve", "--port", "70000"], "less than or equal to 65535"),
        (["serve", "--idle", "2"], "--models, --idle and --most-characters set up a demonstration; add --demo"),
        (["serve", "--demo", "--idle", "-1"], "Invalid value for '--idle'"),
        (["serve", "--demo", "--models", ","], "--models names none"),
        (
            ["serve", "--demo", "--models", "embedded:mood"],
            "There is no embedded:mood; embedded are embedded:sentiment",
        ),
        (["analyze", "--model", "m", "--response", "r"], "Give the prompt once"),
        (["analyze", "--model", "m", "--response", "r", "--prompt", "p", "--prompt-file", "f"], "Give the prompt once"),
        (["analyze", "--model", "m", "--prompt", "p"], "Give the response once"),
        (["analyze", "--model", "m", *ASK, "--granularity", "letter"], "use one of token, word, sentence"),
        (
            ["analyze", "--model", "m", *ASK, "--methods", "red,blue"],
            "There is no method 'blue'; use one of red, red_closed",
        ),
        (["analyze", "--model", "m", *ASK, "--methods", ","], "--methods names none"),
        (["analyze", "--model", "m", *ASK], "m is not in the local Hub cache"),
        (["analyze", "--model", "m", "--prompt", "p", "--response-file", "/no/such"], "/no/such could not be read"),
        (["doctor", "--model", "m", "card.json"], "write --json card.json"),
    ],
)
def test_bad_usage_is_one_sentence(run, args, said):
    assert said in sentence(run(*args))


# ---------------------------------------------------------------- bad models


def pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    code = {"auto_map": {"AutoModelForSequenceClassification": "modeling_own.OwnReward"}}
    (folder / "config.json").write_text(json.dumps({**config, **code, "model_type": "own"}))


# What is wrong with a folder, and the words for it, are tests/models/test_load.py's; here: it ends a command in one sentence.
@pytest.mark.parametrize(
    ("command", "break_it", "said"),
    [
        (["analyze", *ASK], pickle_only, "--allow-pickle"),
        (["doctor"], own_code, "its own code is needed: --trust-remote-code runs it"),
    ],
)
def test_a_broken_model_is_one_sentence_with_its_remedy(run, folder, command, break_it, said):
    break_it(folder)
    told = sentence(run(*command, "--model", folder))
    assert said in told and str(folder) in told


@pytest.mark.parametrize("command", ["analyze", "doctor"])
def test_a_gated_repository_and_a_missing_package_are_one_sentence(run, monkeypatch, command):
    def gated(*args, **options):
        raise GatedRepoError("gated", response=SimpleNamespace(status_code=403, headers={}, request=None))

    asked = ASK if command == "analyze" else ("--device", "cpu")
    monkeypatch.setattr("huggingface_hub.snapshot_download", gated)
    assert "owner/model is gated; accept its licence" in sentence(run(command, "--model", "owner/model", *asked))
    monkeypatch.setattr("redviz.models.loading.precision.importlib.util.find_spec", lambda name: None)
    told = sentence(run(command, "--model", checkpoint(), "--dtype", "4bit", *asked))
    assert "needs the package bitsandbytes; install it, or choose another --dtype" in told


def test_pickled_weights_are_read_when_allowed(run, folder):
    pickle_only(folder)
    code, out, _ = run("analyze", "--model", folder, *ASK, "--methods", "red", "--allow-pickle", "--json")
    assert code == 0 and json.loads(out)["score"] == pytest.approx(tiny_analysis().score, abs=1e-6)


def test_six_labels_ask_for_a_head(run):
    six = tiny.checkpoint("Llama", labels=6)
    assert "has 6 labels" in sentence(run("analyze", "--model", six, *ASK))
    assert "--head 0" in sentence(run("doctor", "--model", six))
    scores = [
        json.loads(run("analyze", "--model", six, *ASK, "--methods", "red", "--json", "--head", head)[1])["score"]
        for head in ("1", "0", "1-0")
    ]
    assert scores[2] == pytest.approx(scores[0] - scores[1], abs=1e-5) and abs(scores[2]) > 1e-3


def test_a_failure_while_running_is_one_sentence_too(run, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("the kernel\nfell over")

    monkeypatch.setattr("redviz.analysis.analyze", fail)
    told = sentence(run("analyze", "--model", checkpoint(), *ASK), code=1)
    assert "RuntimeError: the kernel fell over" in told


# ---------------------------------------------------------------- bad and long texts


def test_an_empty_response_is_one_sentence(run):
    told = sentence(run("analyze", "--model", checkpoint(), "--prompt", PROMPT, "--response", ""))
    assert "response is empty; give at least one character" in told


def test_a_long_response_is_cut_at_its_end_and_says_how_much(run):
    args = ("analyze", "--model", checkpoint(), "--prompt", PROMPT, "--methods", "red")
    whole = json.loads(run(*args, "--response", RESPONSE * 9, "--json")[1])
    args = (*args, "--max-length", 64)
    code, out, err = run(*args, "--response", RESPONSE * 9)
    cut = json.loads(run(*args, "--response", RESPONSE * 9, "--json")[1])
    assert code == 0 and err == "" and cut["truncated"] == len(whole["tokens"]) - len(cut["tokens"]) > 0
    assert f"note: The response was cut: its last {cut['truncated']} of {len(whole['tokens'])} tokens" in out
    assert cut["base"] == pytest.approx(whole["base"], abs=1e-5)  # the prompt is whole
    assert cut["tokens"] == whole["tokens"][: len(cut["tokens"])]


def test_a_prompt_that_fills_the_context_is_one_sentence(run):
    args = ("analyze", "--model", checkpoint(), "--prompt", PROMPT * 9, "--response", "x", "--max-length", 20)
    assert "shorten the prompt" in sentence(run(*args))


# ---------------------------------------------------------------- analyze


def tiny_analysis(**options):
    return redviz.analyze(tiny.model(), PROMPT, RESPONSE, options.pop("methods", ["red", "abc"]), **options)


def test_json_is_the_analysis_and_nothing_else_is_printed(run):
    code, out, err = run("analyze", "--model", checkpoint(), *ASK, "--json", "--methods", "red,abc")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(tiny_analysis().to_json())


def test_options_reach_the_method(run):
    args = ("analyze", "--model", checkpoint(), *ASK, "--methods", "red,abc", "--json")
    got = json.loads(run(*args, "--option", "red.beta_c=0.5", "--option", "abc.layer=0")[1])["credits"]
    want = tiny_analysis(methods={"red": {"beta_c": 0.5}, "abc": {"layer": 0}}).to_dict()["credits"]
    assert got["red"]["reference"] == pytest.approx(want["red"]["reference"])
    assert got["abc"]["values"] == pytest.approx(want["abc"]["values"])
    assert got["abc"]["values"] != pytest.approx(tiny_analysis().to_dict()["credits"]["abc"]["values"])


def test_option_values_take_the_option_s_type():
    given = ["red.initial=zero_first", "abc.heads=0,2", "abc.b=1", "ig.steps=32"]
    found = methods_with_options("red, abc, ig", given)
    assert found == {"red": {"initial": "zero_first"}, "abc": {"heads": [0, 2], "b": 1.0}, "ig": {"steps": 32}}
    assert methods_with_options("abc", ["abc.heads=[1]"]) == {"abc": {"heads": [1]}}
    assert methods_with_options("abc", ["abc.heads=3"]) == {"abc": {"heads": [3]}}
    assert methods_with_options("abc", ["abc.heads=none"]) == {"abc": {"heads": None}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("beta_c=0.5", "write it like red.beta_c=0.5"),
        ("red.beta_c", "write it like red.beta_c=0.5"),
        ("red.beta_c=half", "give a number"),
        ("red.gamma=1", "red has no option gamma; its options: beta_c, initial"),
        ("red.initial=none", "use one of prefix, zero_first, zero_base"),
        ("abc.layer=last", "give a whole number"),
        ("abc.heads=all", "give whole numbers"),
        ("abc.heads=0.5", "give whole numbers"),
        ("abc.layer=0,1", "give a whole number"),
        ("abc.layer=[0]", "abc.layer is [0]; give a whole number"),
        ("red.beta_c=2", "give a number from 0 to 1"),
        ("ig.steps=16", "is for ig, which --methods does not name (red, abc)"),
    ],
)
def test_a_bad_option_says_what_would_do(given, said):
    with pytest.raises(RedvizError) as caught:
        methods_with_options("red,abc", [given])
    assert said in str(caught.value)


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
def test_the_table_adds_up_line_by_line(granularity):
    analysis = tiny_analysis()
    head, *lines = analysis_text(analysis, granularity, colour=False).split("\n\n")[1].splitlines()
    assert head.split()[1:] == ["P_t", "red", "abc"]
    assert float(lines[0].split()[-1]) == pytest.approx(analysis.base, abs=1e-3)
    units = [line.split()[-3:] for line in lines[1:-1]]
    steps = [float(red) for _, red, _ in units]
    prefix = [analysis.base, *(float(p) for p, _, _ in units)]
    assert steps == pytest.approx([b - a for a, b in zip(prefix, prefix[1:], strict=False)], abs=2e-3)
    assert sum(float(abc) for *_, abc in units) == pytest.approx(analysis.score, abs=len(units) * 1e-3)
    assert lines[-1].split() == ["(end)", f"{analysis.score:+.3f}", f"{analysis.closing:+.3f}"]
    assert len(units) == {"token": len(analysis.tokens), "word": 10, "sentence": 2}[granularity]


def test_the_sums_line_names_all_four_numbers():
    analysis = tiny_analysis()
    line = next(x for x in analysis_text(analysis, "token", False).splitlines() if x.startswith("red: "))
    reference, credits, residual, total = (float(w) for w in line.split() if w[0] in "+-" and len(w) > 1)
    assert reference == pytest.approx(analysis.base, abs=1e-3) and total == pytest.approx(analysis.score, abs=1e-3)
    assert reference + credits + residual == pytest.approx(total, abs=2e-3)


def test_prompt_and_response_come_from_files_stdin_and_messages(run, tmp_path, monkeypatch):
    (tmp_path / "prompt.txt").write_text(PROMPT + "\n")
    (tmp_path / "chat.json").write_text(json.dumps([{"role": "user", "content": PROMPT}]))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(RESPONSE.encode() + b"\n")))
    args = ("analyze", "--model", checkpoint(), "--methods", "red", "--json")
    from_files = json.loads(run(*args, "--prompt-file", tmp_path / "prompt.txt", "--response-file", "-")[1])
    from_chat = json.loads(run(*args, "--messages", tmp_path / "chat.json", "--response", RESPONSE)[1])
    assert from_files["prompt"] == PROMPT and from_files["response"] == RESPONSE
    assert from_files["score"] == from_chat["score"] == pytest.approx(tiny_analysis().score)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[", "is not JSON"),
        (b'{"role": "user"}', "holds dict; write a list of role and content"),
        (b'[{"role": "user"}]', "A message needs a role and a content"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_bad_messages_are_one_sentence(run, tmp_path, content, said):
    (tmp_path / "chat.json").write_bytes(content)
    args = ("analyze", "--model", checkpoint(), "--messages", tmp_path / "chat.json", "--response", "x")
    assert said in sentence(run(*args))


def test_html_is_written(run, tmp_path):
    args = ("analyze", "--model", checkpoint(), *ASK, "--methods", "red", "--html")
    code, out, _ = run(*args, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert code == 0 and "red: reference" in out
    assert page.startswith("<!doctype html>") and "superb" in page and "<script" not in page
    assert "could not be written" in sentence(run(*args, tmp_path / "no" / "report.html"))


# ---------------------------------------------------------------- terminal


def test_what_people_write_cannot_drive_the_terminal(run):
    args = ("analyze", "--model", checkpoint(), "--prompt", PROMPT, "--methods", "red")
    _, out, _ = run(*args, "--response", "a\x1b[31mred\x07\u202eb\r\nc")
    assert "↵" in out and not {"\x1b", "\x07", "\u202e", "\r"} & set(out)


def test_wide_and_hidden_characters_keep_their_columns():
    assert shown("日\u202e\x9b") == "日\\u202e\\x9b" and shown("\n") == "↵"
    lines = table([column("unit", ["日本", "ab", "x" * 99]), column("n", ["1", "22", "3"], right=True)]).splitlines()
    assert lines[1] == "日本" + " " * 58 + " 1" and lines[3] == "x" * 59 + "…" + "   3"


def test_bars_are_for_colour_terminals_only(monkeypatch):
    plain, coloured = (analysis_text(tiny_analysis(), "word", colour) for colour in (False, True))
    assert "▇" not in plain and "\x1b" not in plain and "▇" in coloured
    assert [bar.count("▇") for bar in bars([1.0, -0.5, 0.0])] == [8, 4, 0]
    assert bars([1.0])[0][:5] != bars([-1.0])[0][:5]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert has_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour()


# ---------------------------------------------------------------- doctor and serve


@pytest.fixture
def only(monkeypatch):
    """Let the card hold these rows alone, and the one whose length it tells; what each finds is tested with the card."""

    def keep(*names: str) -> None:
        kept = {name: conformance.CHECKS[name] for name in (*names, "prefix_consistency")}
        monkeypatch.setattr(conformance, "CHECKS", kept)

    return keep


def test_doctor_prints_the_card_in_words_and_writes_it(run, tmp_path, only):
    only("weights", "own_score", "closing_tokens")
    code, out, err = run("doctor", "--model", checkpoint(), "--device", "cpu", "--json", tmp_path / "card.json")
    card = json.loads((tmp_path / "card.json").read_text())
    assert (code, err) == (0, "") and card["verdict"] == "green" and out.endswith("green  over all\n")
    source = tiny.model().source
    assert (card["fingerprint"], card["template_hash"]) == (source.fingerprint, source.template_hash)
    assert card["reading_column"] == -1 and source.fingerprint in out
    assert all(f"{check['verdict']}  {check['title']}" in out for check in card["checks"])
    code, out, _ = run("doctor", "--model", checkpoint(), "--device", "cpu", "--json")
    assert code == 0 and json.loads(out) == card


def test_an_amber_check_shows_its_remedy_and_is_no_failure(run, only):
    only("own_score", "pad_is_eos")
    trap = tiny.checkpoint("Llama", "ends", pad="<|end|>")
    code, out, _ = run("doctor", "--model", trap, "--device", "cpu")
    assert code == 0 and "amber  The score is read at the last token" in out and "→ redviz follows the model" in out
    assert "amber" not in run("doctor", "--model", trap, "--device", "cpu", "--read", "last")[1]


def test_a_red_check_is_a_failure(run, monkeypatch, only):
    only("weights", "own_score")
    monkeypatch.setitem(ALL_MASK_ATTENTION_FUNCTIONS, FAST, lambda *args, **kwargs: None)
    code, out, _ = run("doctor", "--model", tiny.checkpoint("Mistral"), "--device", "cpu")
    assert code == 1 and "red    Own score equals the model's own forward" in out and out.endswith("red    over all\n")


def test_serve_says_what_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setattr("redviz.settings.PACKAGE", tmp_path / "redviz")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert "app.py was not found beside the redviz package; reinstall" in sentence(run("serve"))


VARIABLES = ("REDVIZ_DEMO", "REDVIZ_MODELS", "REDVIZ_IDLE_MINUTES", "REDVIZ_MOST_CHARACTERS")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), {}),
        (("--demo",), {"REDVIZ_DEMO": "1"}),
        (
            ("--demo", "--models", "embedded:sentiment,/srv/judge", "--idle", "0.5", "--most-characters", "900"),
            dict(zip(VARIABLES, ("1", "embedded:sentiment,/srv/judge", "0.5", "900"), strict=True)),
        ),
    ],
)
def test_serve_sets_up_a_demonstration_before_streamlit_starts(run, monkeypatch, options, wanted):
    started = []

    def start(flags, standalone_mode):
        chosen = settings.demo_mode(), settings.idle_minutes(), settings.most_characters(), settings.allowed_models()
        started.append((flags, {name: os.environ[name] for name in VARIABLES if name in os.environ}, chosen))

    monkeypatch.setattr("streamlit.web.cli.main", start)
    monkeypatch.setattr(os, "environ", {name: v for name, v in os.environ.items() if name not in VARIABLES})
    assert run("serve", *options) == (0, "", "")
    [(flags, found, chosen)] = started
    assert found == wanted and ("--server.maxUploadSize" in flags) == bool(options)
    demo, given = bool(options), len(options) > 1
    models = ("embedded:sentiment", "/srv/judge") if given else None
    assert chosen == (
        demo,
        (0.5 if given else 5.0) if demo else None,
        (900 if given else 4000) if demo else None,
        models,
    )


def test_serve_serves_the_app_that_ships(tmp_path):
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "app.py").write_text("import streamlit as st\nst.write('here')\n")
    code = (
        "import sys, pathlib, redviz.settings as s; from redviz.cli.main import main;"
        f"s.PACKAGE = pathlib.Path({str(tmp_path / 'redviz')!r}); sys.exit(main(['serve', '--port', '{port}']))"
    )
    options = ["STREAMLIT_SERVER_HEADLESS=true", "STREAMLIT_BROWSER_GATHER_USAGE_STATS=false"]
    server = subprocess.Popen(["env", *options, sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        assert answer(f"http://localhost:{port}/_stcore/health", server) == b"ok"
    finally:
        server.terminate()
        server.wait(30)


def answer(url: str, server: subprocess.Popen) -> bytes:
    for _ in range(240):
        assert server.poll() is None, "the server has stopped"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.read()
        except OSError:
            time.sleep(0.25)
    raise AssertionError("no answer within a minute")


# ---------------------------------------------------------------- the text a model was trained on


def test_a_template_is_one_flag_of_every_command_that_loads_a_model(run):
    folder = tiny.checkpoint(template="none")
    plain = json.loads(run("analyze", *ASK, "--model", folder, "--methods", "red", "--json")[1])
    asked = json.loads(run("analyze", *ASK, "--model", folder, "--methods", "red", "--template", "qa+eos", "--json")[1])
    assert (plain["source"]["template"], asked["source"]["template"]) == ("", "qa+eos")
    assert plain["score"] != asked["score"] and plain["source"]["template_hash"] != asked["source"]["template_hash"]
    both = (
        "compare",
        *ASK,
        "--model",
        folder,
        "--model2",
        folder,
        "--template2",
        "qa+eos",
        "--json",
        "--methods",
        "red",
    )
    scores = [found["score"] for found in json.loads(run(*both)[1])["analyses"]]
    assert scores == pytest.approx([plain["score"], asked["score"]], abs=1e-5)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Q: {prompt}", "has {response} 0 times; write it once"),
        ("{prompt}{response}{response}", "has {response} 2 times; write it once"),
        ("nowhere.jinja", "'nowhere.jinja' is no file; give one of own, alpaca"),
        ("raises.jinja", "cannot write a prompt and a response (never); mend it"),
        ("loses.jinja", "loses the prompt; write the content of every turn"),
    ],
)
def test_a_template_that_is_none_is_one_sentence(run, tmp_path, monkeypatch, template, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raises.jinja").write_text("{{ raise_exception('never') }}")
    (tmp_path / "loses.jinja").write_text("{{ messages[-1].content }}")
    code, out, err = run("analyze", *ASK, "--model", tiny.checkpoint(template="none"), "--template", template)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err


def test_a_rule_has_no_template(run):
    code, _, err = run("analyze", *ASK, "--model", "rule:exact-answer", "--template", "hh")
    assert code == 2 and "leave --head, --max-length, --revision and --template out" in err


# ---------------------------------------------------------------- what is not installed


def test_a_command_that_needs_an_extra_names_it(run, monkeypatch):
    class NoStreamlit:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.startswith("streamlit"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "streamlit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoStreamlit, *sys.meta_path])
    told = "redviz: This needs streamlit, which is not installed: pip install 'redviz[app]'.\n"
    assert run("serve") == (2, "", told)


def test_what_no_extra_brings_is_a_failure_like_any_other(run, monkeypatch):
    def broken(_: object) -> None:
        raise ModuleNotFoundError("No module named 'tornado'", name="tornado")

    monkeypatch.setattr(settings, "project_file", broken)
    assert run("serve")[0] == 1
