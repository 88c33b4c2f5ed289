"""Classifiers of tokens as token rewards: every token's logit and their sums against Transformers' own forward of each text."""

import json

import numpy as np
import pytest
import tiny
import tiny_both_ways
import tiny_steps
import torch
import transformers
from close import recomputed
from typer.testing import CliRunner

import redviz
from redviz.cli.main import app as cli
from redviz.data.results.archive import load_analysis, save_analysis
from redviz.errors import RedvizError
from redviz.evaluation.edits.edits import what_if
from redviz.models.families.family import NOT_RUN
from redviz.models.kinds.process import ProcessModel
from redviz.models.kinds.token_rewards import TokenRewards
from redviz.models.loading.load import load_reward_model
from redviz.records import Example
from redviz.runs import local

PROMPT, RESPONSE = "Write a short review of the film.", "The lead is superb , moving and funny . But it drags."
OTHER = ("And the music ?", "Dull .")


def made(folder, kind, labels, template="closed", names=None):
    """A tiny random classifier of tokens, and its tokenizer."""
    ways = kind in tiny_both_ways.ARCHITECTURES
    tok = tiny_both_ways.tokenizer() if ways else tiny.tokenizer(template)
    more = tiny_both_ways.ARCHITECTURES[kind] if ways else {"num_key_value_heads": 2}
    sizes = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0)
    sizes |= {"max_position_embeddings": 256, "vocab_size": len(tok), "bos_token_id": None, "eos_token_id": None}
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **more, "num_labels": labels})
    if names:
        config.id2label = dict(enumerate(names))
    module = tiny_steps.shaken(getattr(transformers, f"{kind}ForTokenClassification")(config), 0.25)
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return module, tok


def load(folder, head=None, **options):
    return load_reward_model(str(folder), device="cpu", head=head, **options)


@torch.no_grad()
def own(module, ids, types=None):
    """Transformers' logits of every token of one text, ``[L, K]``."""
    given = {} if types is None else {"token_type_ids": torch.as_tensor(types)[None]}
    return module(torch.as_tensor(ids)[None], **given).logits[0].numpy()


@pytest.mark.parametrize(
    ("kind", "labels", "head", "weights"),
    [
        ("Llama", 1, None, [1]),
        ("Qwen2", 3, "bad", [0, 0, 1]),
        ("Llama", 3, "0-2", [1, 0, -1]),
        ("Llama", 3, "tokens:1", [0, 1, 0]),
        ("Qwen2", 2, "tokens:1-0", [-1, 1]),
    ],
)
def test_each_token_has_its_own_logit_and_the_score_is_their_sum(tmp_path, kind, labels, head, weights):
    module, tok = made(tmp_path, kind, labels, names=["good", "so so", "bad"] if labels == 3 else None)
    model = load(tmp_path, head)
    assert isinstance(model, TokenRewards) and model.source.family == "token_rewards" and not model.both_ways
    encoding = model.encode(Example(PROMPT, RESPONSE))
    ids, start, stop = encoding.ids.tolist(), encoding.start, encoding.stop
    talk = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}]
    assert ids == tok.apply_chat_template(talk, tokenize=True, return_dict=True)["input_ids"]
    terms = own(module, ids)[start:stop] @ np.array(weights, np.float32)
    assert np.ptp(terms) > 0.1
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "process", "sparse", "truncation", "occlusion"])
    np.testing.assert_allclose(analysis.credits["red"].values, terms, atol=1e-5)
    np.testing.assert_allclose(analysis.credits["process"].values, terms, atol=1e-5)
    assert analysis.score == pytest.approx(terms.sum(), abs=1e-5) and analysis.base == 0 and analysis.closing == 0
    assert analysis.credits["red"].residual == pytest.approx(0, abs=1e-5) and analysis.unit == "token"
    assert stop < len(ids) and not analysis.observation.has_end  # what closes the response has no share
    brute = [(own(module, ids[:end])[start:] @ np.array(weights, np.float32)).sum() for end in range(start, stop + 1)]
    np.testing.assert_allclose(analysis.prefix_scores, brute, atol=1e-5)  # texts cut there, read anew
    assert any("sum of the response tokens' own rewards" in notice for notice in analysis.notices)
    short = model.encode(Example(*OTHER))
    for side in ("right", "left"):  # two texts of unequal length in one pass
        for got, one in zip(model._pass([encoding, short], side), (encoding, short), strict=True):
            np.testing.assert_allclose(got, own(module, one.ids)[one.start : one.stop], atol=1e-5)
    cut = RESPONSE[: analysis.offsets[4][1]]
    np.testing.assert_allclose(model.score_texts(PROMPT, [cut, "", cut]), [brute[5], 0, brute[5]], atol=1e-5)


def test_labels_stand_side_by_side(tmp_path):
    module, _ = made(tmp_path, "Llama", 3, names=["good", "so so", "bad"])
    model = load(tmp_path, "good")
    encoding = model.encode(Example(PROMPT, RESPONSE))
    logits = own(module, encoding.ids)[encoding.start : encoding.stop]
    analysis = redviz.analyze(model, PROMPT, RESPONSE, {"red": {}, "bad": {"method": "red", "objective": 2}})
    assert list(analysis.head_scores) == ["good", "so so", "bad"]
    np.testing.assert_allclose(analysis.credits["bad"].values, logits[:, 2], atol=1e-5)
    np.testing.assert_allclose(analysis.head_scores["so so"][1:], logits[:, 1].cumsum(), atol=1e-5)


@pytest.mark.parametrize(("kind", "labels", "head"), [("Bert", 1, None), ("Bert", 4, "1-3"), ("Roberta", 5, "2")])
def test_a_model_that_looks_both_ways_scores_tokens_but_no_prefix(tmp_path, kind, labels, head):
    module, tok = made(tmp_path, kind, labels)
    model = load(tmp_path, head)
    assert model.both_ways and model.pairs
    weights = {None: [1], "1-3": [0, 1, 0, -1], "2": [0, 0, 1, 0, 0]}[head]

    def terms(prompt, response):
        both = tok(prompt, response)
        types = both["token_type_ids"] if kind == "Bert" else None
        at = [i for i, s in enumerate(both.sequence_ids()) if s == 1]
        return own(module, both["input_ids"], types)[at] @ np.array(weights, np.float32)

    expected = terms(PROMPT, RESPONSE)
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["process", "truncation", "occlusion", "sparse", "shapley"])
    np.testing.assert_allclose(analysis.credits["process"].values, expected, atol=1e-5)
    assert analysis.score == pytest.approx(expected.sum(), abs=1e-4) and np.isnan(analysis.prefix_scores[1:-1]).all()
    cut = RESPONSE[: analysis.offsets[4][1]]
    gained = analysis.credits["truncation"].values[5:].sum()
    assert gained == pytest.approx(expected.sum() - terms(PROMPT, cut).sum(), abs=1e-4)
    two = list(redviz.analyze_batch(model, [Example(PROMPT, RESPONSE), Example(*OTHER)], ["process"]))
    for one, pair in zip(two, [(PROMPT, RESPONSE), OTHER], strict=True):
        np.testing.assert_allclose(one.credits["process"].values, terms(*pair), atol=1e-5)
    for method in ("red", "abc", "ig"):
        with pytest.raises(
            RedvizError, match="scores every token with the whole response in view; use one of .*process"
        ):
            redviz.analyze(model, PROMPT, RESPONSE, [method])
    asked = ["--head", head] if head else []
    texts = ["--prompt", PROMPT, "--response", RESPONSE, "--new-response", "Dull ."]
    told = CliRunner().invoke(cli, ["what-if", "--model", str(tmp_path), "--device", "cpu", *texts, *asked])
    assert told.exit_code == 0 and "looks inside" not in told.output, told.output
    in_their_place = redviz.analyze(model, PROMPT, RESPONSE).credits
    assert list(in_their_place) == ["process"]


def test_what_looks_inside_is_refused(tmp_path):
    made(tmp_path, "Llama", 1)
    model = load(tmp_path)
    for method in ("abc", "ig", "red_closed"):
        with pytest.raises(RedvizError, match="a score at every token, with nothing inside to look at"):
            redviz.analyze(model, PROMPT, RESPONSE, [method])
    left_out = [notice for notice in redviz.analyze(model, PROMPT, RESPONSE).notices if notice.startswith("Left out")]
    assert len(left_out) == 2


def test_two_labels_are_steps_unless_head_says_tokens(tmp_path):
    tiny_steps.token_classifier(tmp_path)
    assert isinstance(load(tmp_path), ProcessModel) and isinstance(load(tmp_path, "last"), ProcessModel)
    with pytest.raises(RedvizError, match="has no head '1-0'.*tokens:1-0 reads every token"):
        load(tmp_path, "1-0")
    with pytest.raises(RedvizError, match="two labels; say which .*tokens:1-0"):
        load(tmp_path, "tokens")
    model = load(tmp_path, "tokens:LABEL_1")
    assert isinstance(model, TokenRewards) and model.source.head == "tokens:LABEL_1"


def test_labels_that_are_not_there_and_heads_that_are_more_are_refused(tmp_path):
    made(tmp_path / "three", "Llama", 3)
    with pytest.raises(RedvizError, match="has 3 labels .*choose with --head"):
        load(tmp_path / "three")
    with pytest.raises(RedvizError, match="has no head 'worst'"):
        load(tmp_path / "three", "worst")
    made(tmp_path / "one", "Llama", 1)
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    config["id2label"] = {str(i): f"L{i}" for i in range(3)}
    (tmp_path / "one" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RedvizError, match="could not be loaded|do not have the shapes|lacks"):
        load(tmp_path / "one", "0")


def test_edits_files_and_pairs(tmp_path):
    made(tmp_path, "Llama", 3)
    model = load(tmp_path, "1-0")
    before = redviz.analyze(model, PROMPT, RESPONSE, ["red", "process"])
    [edited] = what_if(model, before, [RESPONSE.replace("superb", "dull")])
    again = redviz.analyze(model, PROMPT, edited.after.response, ["red"])
    np.testing.assert_allclose(
        edited.after.credits["red"].values, again.credits["red"].values, atol=recomputed(again.score)
    )
    save_analysis(before, tmp_path / "a.npz")
    back = load_analysis(tmp_path / "a.npz")
    assert back.to_dict() == before.to_dict() and back.unit == "token"
    np.testing.assert_array_equal(back.observation.step_scores, before.observation.step_scores)
    found = redviz.compare(model, PROMPT, [RESPONSE, OTHER[1]], ["red"])
    scores = model.score_texts(PROMPT, [OTHER[1], RESPONSE])
    assert found.margin(0, 1) == pytest.approx(float(np.diff(scores)[0]), abs=1e-5)


def test_a_run_finds_the_model_from_any_folder(tmp_path, monkeypatch):
    made(tmp_path / "here", "Llama", 1)
    monkeypatch.chdir(tmp_path)
    assert local._place(load("here")) == str(tmp_path / "here")


@pytest.mark.parametrize(("kind", "labels"), [("Qwen2", 1), ("Bert", 1)])
def test_the_card_says_what_the_score_is(tmp_path, kind, labels):
    made(tmp_path, kind, labels)
    card = tmp_path / "card.json"
    done = CliRunner().invoke(cli, ["doctor", "--model", str(tmp_path), "--device", "cpu", "--json", str(card)])
    assert done.exit_code == 0, done.output
    rows = {check["name"]: check for check in json.loads(card.read_text())["checks"]}
    others = {name for name, row in rows.items() if row["verdict"] != "green"}
    assert others - {"obvious_pairs"} == {"family"}  # random weights order pairs as a coin does
    assert NOT_RUN in rows["family"]["figure"] and "sum of token rewards" in rows["own_score"]["figure"]


def test_the_card_sees_a_head_that_is_not_the_modules(tmp_path):
    made(tmp_path, "Qwen2", 1)
    model = load(tmp_path)
    with torch.no_grad():
        model.head.weight += 0.1
    assert redviz.check_model(model)["own_score"].verdict == "red"
