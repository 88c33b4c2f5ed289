"""Process reward models: step scores against a few lines written from the published code, and what is made of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_steps
import torch
from close import recomputed
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForTokenClassification

import redviz
from redviz.credit.from_records.process import process
from redviz.credit.recipes import METHODS
from redviz.data.results.archive import load_analysis, save_analysis
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.rows import rows
from redviz.errors import RedvizError
from redviz.evaluation.edits.edits import what_if
from redviz.models.families.family import NOT_RUN
from redviz.models.families.process import PROCESS, asked_for
from redviz.models.kinds.process import ProcessModel
from redviz.models.loading.load import load_reward_model
from redviz.models.loading.weights import Weights
from redviz.models.reading.steps import StepFormat, after_each
from redviz.records import Example

PROMPT = "A box holds 6 rows of 7 eggs. How many?"
STEPS = ["I see 6 rows 🥚 of 7.", "So 6 times 7\nis 42.", "The answer is 42."]
RESPONSE = "\n\n" + "\n\n".join(STEPS) + "\n \n"
LINES = RESPONSE.replace("7\nis", "7 is")  # for kinds whose steps are lines
ALONE = ("process", "red", "sparse", "uniform", "truncation", "occlusion", "shapley", "lime", "kernel_shap")


# ---------------------------------------------------------------- each kind, against its published recipe


@torch.no_grad()
def published_qwen(trunk, score, tok, steps):
    """README.md of Qwen2.5-Math-PRM: softmax at <extra_0>, class 1."""
    turns = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    text = tok.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
    ids = torch.tensor([tok.encode(text, add_special_tokens=False)])
    at = (ids == tok.encode("<extra_0>", add_special_tokens=False)[0])[0]
    return score(trunk(ids).last_hidden_state)[0].softmax(-1)[at, 1].numpy()


@torch.no_grad()
def published_trl(module, tok, steps, separator="\n"):
    """PRMTrainer.tokenize_row: the label of a step stands on the last token of its separator."""
    ids = ([] if tok.bos_token_id is None else [tok.bos_token_id]) + tok(PROMPT, add_special_tokens=False)["input_ids"]
    found = []
    for step in steps:
        ids += tok(step, add_special_tokens=False)["input_ids"] + tok.encode(separator, add_special_tokens=False)
        found.append(
            float(module(torch.tensor([ids])).logits[0, -1].softmax(-1)[1])
        )  # causal: later ids change nothing
    return np.array(found)


@torch.no_grad()
def published_shepherd(module, tok, steps):
    """The model card of Math-Shepherd: softmax over + and -, where the tag's id stands."""
    text = f"{PROMPT} " + "\n".join(f"{step} ки" for step in steps)
    ids = torch.tensor([tok.encode(text)])
    candidates = [tok.encode(c, add_special_tokens=False)[-1] for c in "+-"]
    at = ids[0] == tok.encode("ки", add_special_tokens=False)[-1]
    return module(ids).logits[:, :, candidates].softmax(-1)[0, at, 0].numpy()


@torch.no_grad()
def published_rlhflow(module, tok, steps):
    """prm_evaluate.py of RLHFlow: a forward pass for every step, read at the place before the answer."""
    candidates = [tok.encode(c, add_special_tokens=False)[-1] for c in "+-"]
    conversation, found = [], []
    for k, step in enumerate(steps):
        conversation.append({"role": "user", "content": f"{PROMPT} {step}" if k == 0 else step})
        text = tok.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tok.encode(text, add_special_tokens=False)])
        found.append(float(module(ids).logits[0, -1, candidates].softmax(-1)[0]))
        conversation.append({"role": "assistant", "content": "+"})
    return np.array(found)


def agrees(model, response, expected, family):
    """Step scores, their minimum, and the score of every shorter response."""
    analysis = redviz.analyze(model, PROMPT, response, ["process", "red"])
    assert isinstance(model, ProcessModel) and model.source.family == family
    np.testing.assert_allclose(analysis.credits["process"].values, expected, atol=1e-5)
    assert np.ptp(expected) > 0.02  # steps are told apart
    assert analysis.unit == "step" and analysis.score == pytest.approx(min(expected), abs=1e-5)
    np.testing.assert_allclose(analysis.prefix_scores, np.minimum.accumulate([1.0, *expected]), atol=1e-5)
    assert "".join(analysis.tokens) == response and analysis.closing == 0
    assert analysis.credits["red"].residual == pytest.approx(0, abs=1e-6)
    cuts = model.score_texts(PROMPT, [response[:end] for _, end in analysis.offsets])
    np.testing.assert_allclose(cuts, analysis.prefix_scores[1:], atol=1e-5)
    assert any("minimum" in notice and "--head" in notice for notice in analysis.notices)


def test_qwen_math_prm(tmp_path):
    trunk, score, tok = tiny_steps.qwen(tmp_path)
    agrees(load(tmp_path), RESPONSE, published_qwen(trunk, score, tok, STEPS), "qwen_math_prm")


@pytest.mark.parametrize(("head", "separator", "bos"), [(None, "\n", True), ("steps@\\n\\n", "\n\n", False)])
def test_trl_token_classification(tmp_path, head, separator, bos):
    module, tok = tiny_steps.token_classifier(tmp_path, bos)
    response, steps = (LINES, [s.replace("\n", " ") for s in STEPS]) if separator == "\n" else (RESPONSE, STEPS)
    agrees(load(tmp_path, head), response, published_trl(module, tok, steps, separator), "token_classification")


def test_math_shepherd_with_and_without_its_tags_in_the_text(tmp_path):
    module, tok = tiny_steps.language_model(tmp_path)
    steps = [s.replace("\n", " ") for s in STEPS]
    model = load(tmp_path, "steps:+|-@ки")
    expected = published_shepherd(module, tok, steps)
    agrees(model, LINES, expected, "step_tag")
    written = "".join(f"{step} ки\n" for step in steps)
    np.testing.assert_allclose(
        model.observe(model.encode(Example(PROMPT, written))).step_scores, expected, atol=recomputed()
    )


def test_rlhflow_in_one_pass(tmp_path):
    module, tok = tiny_steps.language_model(tmp_path, tiny_steps.SYSTEM)
    model = load(tmp_path, "turns:+|-")
    agrees(model, RESPONSE, published_rlhflow(module, tok, STEPS), "step_turns")
    model.forwards = 0
    model.observe(model.encode(Example(PROMPT, RESPONSE)))
    assert model.forwards == 1


def load(folder, head=None, **options):
    return load_reward_model(str(folder), device="cpu", head=head, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("prm")
    tiny_steps.token_classifier(made)
    return made


# ---------------------------------------------------------------- steps


@given(st.text(alphabet=st.sampled_from("ab \t\n\r🥚é<"), min_size=1))
def test_steps_tile_the_response_and_each_says_something(text):
    format = StepFormat(after_each, "<extra_0>")
    spans = format.split(text)
    assert bool(spans) == bool(text.strip())
    if spans:
        assert [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])] and spans[-1][1] == len(text)
        assert all(format.content(text[a:b]) for a, b in spans)
        said = [format.content(text[a:b]) for a, b in spans]
        assert [part.strip() for part in text.replace("\r", " ").split("\n\n") if part.strip()] == [
            s.replace("\r", " ") for s in said
        ] or "\n" in text.replace("\n\n", "")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("One.", ["One."]),
        ("One.\nStill one.\n\nTwo.", ["One.\nStill one.", "Two."]),
        ("One.<extra_0>Two.\n\n<extra_0>", ["One.", "Two."]),
        ("One. \r\n\r\n Two.", ["One.", "Two."]),
    ],
)
def test_steps_of(text, steps):
    format = StepFormat(after_each, "<extra_0>")
    assert [format.content(text[a:b]) for a, b in format.split(text)] == steps


def test_a_mark_parts_steps_where_it_stands_alone_only():
    shepherd, rlhflow = (PROCESS[name].format for name in ("step_tag", "step_turns"))
    text = "Возьми в руки. ки\nкино ки руки"
    assert [shepherd.content(text[a:b]) for a, b in shepherd.split(text)] == ["Возьми в руки.", "кино", "руки"]
    text = "1 + 1 is 2.\n\nSo it is +"
    assert [rlhflow.content(text[a:b]) for a, b in rlhflow.split(text)] == ["1 + 1 is 2.", "So it is +"]


def test_a_response_of_one_step_and_none(folder):
    model = load(folder)
    one = redviz.analyze(model, PROMPT, "Forty-two. 🥚", ["process", "red"])
    assert len(one.offsets) == 1 and one.credits["red"].values[0] == pytest.approx(one.score - 1, abs=1e-6)
    with pytest.raises(RedvizError, match="blanks alone and no step"):
        redviz.analyze(model, PROMPT, " \n\n ", ["red"])
    with pytest.raises(RedvizError, match="half of a surrogate"):
        redviz.analyze(model, PROMPT, "half \ud83d", ["red"])


def test_what_is_too_long_is_cut_at_whole_steps_and_said(folder):
    model = load(folder, max_length=120)
    text = "".join(f"Step {k} adds {k} to the sum.\n" for k in range(1, 40))
    analysis = redviz.analyze(model, PROMPT, text, ["process", "truncation"])
    kept = len(analysis.offsets)
    assert 1 < kept < 39 and analysis.truncated == 39 - kept and text[: analysis.offsets[-1][1]].endswith("\n")
    assert any(f"its last {39 - kept} of 39 steps do not fit" in notice for notice in analysis.notices)
    whole = redviz.analyze(load(folder), PROMPT, text, ["process"]).credits["process"].values
    np.testing.assert_allclose(analysis.credits["process"].values, whole[:kept], atol=recomputed())
    more = "".join(text.splitlines(keepends=True)[: kept + 1])
    contents = [model.format.content(line) for line in more.splitlines()]
    assert len(model.marked(PROMPT, contents).ids) > 120 >= len(model.marked(PROMPT, contents[:-1]).ids)
    assert model.score_texts(PROMPT, [text])[0] == pytest.approx(analysis.score, abs=recomputed())
    with pytest.raises(RedvizError, match="prompt and the first step take"):
        redviz.analyze(model, PROMPT * 9, text, ["red"])


# ---------------------------------------------------------------- aggregates and methods


@pytest.mark.parametrize("aggregate", ["min", "product", "mean", "last"])
def test_the_aggregate_is_chosen_and_prefixes_follow_it(folder, aggregate):
    model = load(folder, aggregate)
    steps = redviz.analyze(model, PROMPT, LINES, ["process"])
    scores = steps.credits["process"].values.astype(float)
    running = {
        "min": np.minimum.accumulate,
        "product": np.cumprod,
        "mean": lambda p: [np.mean(p[:k]) for k in range(1, len(p) + 1)],
        "last": np.asarray,
    }[aggregate](scores)
    np.testing.assert_allclose(steps.prefix_scores[1:], running, atol=1e-6)
    assert steps.score == pytest.approx(running[-1], abs=1e-6) and steps.source.head == aggregate
    if aggregate in ("last", "mean"):
        assert np.isnan(steps.base)
        for method in ("red", "truncation", "shapley"):
            with pytest.raises(RedvizError, match="before (the|a) first step"):
                redviz.analyze(model, PROMPT, LINES, [method])
        zero = redviz.analyze(model, PROMPT, LINES, {"red": {"initial": "zero_base"}}).credits["red"]
        np.testing.assert_allclose(zero.values, np.diff([0, *running]), atol=1e-6)
    else:
        assert steps.base == 1.0


def test_every_method_is_right_or_refused_in_one_sentence(folder):
    model = load(folder, "product")
    value = lambda text: float(model.score_texts(PROMPT, [text])[0])  # noqa: E731
    found = redviz.analyze(model, PROMPT, LINES, list(ALONE))
    red, parts = found.credits["red"].values, [LINES[a:b] for a, b in found.offsets]
    np.testing.assert_allclose(found.credits["truncation"].values, red, atol=recomputed())
    np.testing.assert_allclose(red, np.diff(found.prefix_scores.astype(float)), atol=1e-6)
    without = [found.score - value("".join(parts[:k] + parts[k + 1 :])) for k in range(3)]
    np.testing.assert_allclose(found.credits["occlusion"].values, without, atol=1e-5)
    pairs = [value(parts[i] + parts[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    alone = [value(part) for part in parts]
    whole, none = found.score, 1.0
    first = (2 * (alone[0] - none) + (pairs[0] - alone[1]) + (pairs[1] - alone[2]) + 2 * (whole - pairs[2])) / 6
    assert found.credits["shapley"].values[0] == pytest.approx(first, abs=1e-5)
    for label in ("shapley", "kernel_shap", "uniform", "sparse", "red"):
        assert found.credits[label].residual == pytest.approx(0, abs=1e-4), label
    for name, info in METHODS.items():
        if name not in ALONE and info.needs in ("observation", "attention", "model"):
            with pytest.raises(
                RedvizError, match=f"^{name} looks inside a model, and this one is read after each step"
            ):
                redviz.analyze(model, PROMPT, LINES, [name])


def test_step_scores_belong_to_process_reward_models():
    seen = redviz.analyze(tiny.model("Llama"), "Go.", "A fine film.", ["red"]).observation
    with pytest.raises(RedvizError, match="this model scores no steps; use red"):
        process(seen)
    with pytest.raises(RedvizError, match="function of text"):
        redviz.analyze(redviz.reward_function(lambda p, r: 1.0), "Go.", "A fine film.", ["process"])


def test_a_batch_equals_one_by_one_and_a_bad_one_stops_nothing(folder):
    model = load(folder)
    texts = [LINES, "Short.", "\n", LINES + "\nAnd one more 🥚 step."]
    many = list(redviz.analyze_batch(model, [{"prompt": PROMPT, "response": t} for t in texts], ["process"]))
    assert [bool(a.error) for a in many] == [False, False, True, False] and model.forwards == 1
    good = [texts[i] for i in (0, 1, 3)]
    np.testing.assert_allclose(model.score_texts(PROMPT, good), [many[i].score for i in (0, 1, 3)], atol=recomputed())


def test_an_edit_keeps_the_steps(folder):
    model = load(folder)
    before = redviz.analyze(model, PROMPT, LINES, ["red", "process"])
    [edited] = what_if(model, before, [LINES.replace("42", "41")])
    assert edited.after.unit == "step" and set(edited.after.credits) == {"red", "process"}
    again = redviz.analyze(model, PROMPT, edited.after.response, ["process"])
    np.testing.assert_allclose(
        edited.after.credits["process"].values, again.credits["process"].values, atol=recomputed()
    )


# ---------------------------------------------------------------- files, card, refusals


def test_steps_survive_files_and_the_report(folder, tmp_path):
    analysis = redviz.analyze(load(folder), PROMPT, LINES, ["process", "red"])
    save_analysis(analysis, tmp_path / "a.npz")
    back = load_analysis(tmp_path / "a.npz")
    assert back.unit == "step" and back.to_dict() == analysis.to_dict()
    np.testing.assert_array_equal(back.observation.step_scores, analysis.observation.step_scores)
    made = rows(analysis)
    assert {row["unit"] for row in made} == {"step"}
    [drawn] = analyses_of(made)
    assert drawn.unit == "step" and drawn.offsets == analysis.offsets
    assert "step 1" in analysis.to_html() and json.loads(analysis.to_json())["unit"] == "step"


@pytest.mark.parametrize("head", [None, "last"])
def test_the_conformance_card(folder, head):
    card = redviz.check_model(load(folder, head))
    assert {check.name for check in card.checks if check.verdict != "green"} == {"family"}
    assert NOT_RUN in card["family"].figure and "do not apply" in card["of_tokens"].figure
    assert card.verified_length > 400 and card.reading_token == "\n" and card.reading_column == -1


def test_the_card_sees_a_model_that_is_read_one_column_off(folder):
    model = load(folder)
    write = model.format.write
    model.format = replace(
        model.format, write=lambda *given: replace(m := write(*given), columns=(m.columns + 1) % len(m.ids))
    )
    assert redviz.check_model(model)["causality"].verdict == "red"


def test_a_token_classifier_that_looks_both_ways_is_refused(tmp_path):
    tok = tiny_steps.tokenizer()
    sizes = dict(vocab_size=len(tok), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
    tiny_steps.shaken(BertForTokenClassification(BertConfig(**sizes, num_labels=2))).save_pretrained(tmp_path)
    tok.save_pretrained(tmp_path)
    with pytest.raises(RedvizError, match="sees later steps when it scores an earlier one"):
        load(tmp_path)


def test_a_head_that_is_no_aggregate_is_refused(folder, tmp_path):
    with pytest.raises(RedvizError, match="has no head '1-0'; --head says .*min, product, mean, last"):
        load(folder, "1-0")
    tiny_steps.language_model(tmp_path)
    with pytest.raises(RedvizError, match="name one token"):
        load(tmp_path, "steps:good step|-@ки")
    with pytest.raises(RedvizError, match="no chat template|generation prompt"):
        load(tmp_path, "turns:+|-")


@pytest.mark.parametrize(
    ("head", "family", "aggregate", "tag", "tokens"),
    [
        ("steps:+|-@ки", "step_tag", "min", "ки", ("+", "-")),
        ("steps:648|387@ки#product", "step_tag", "product", "ки", ("648", "387")),
        ("turns:+|-#last", "step_turns", "last", "", ("+", "-")),
    ],
)
def test_heads_are_read(head, family, aggregate, tag, tokens):
    asked = asked_for({}, Weights("m", {}), head)
    assert (asked.family, asked.aggregate, asked.tag, asked.tokens) == (family, aggregate, tag, tokens)
    assert asked_for({"architectures": ["LlamaForSequenceClassification"]}, Weights("m", {}), "0") is None


def test_every_kind_says_what_it_follows_and_that_it_was_not_run():
    for family in PROCESS.values():
        assert "/" in family.source and family.verified == NOT_RUN and family.about.endswith(".")
