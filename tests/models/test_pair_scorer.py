"""Models that score pairs: both orders against the published forward in a few lines, how they are recognised, what they refuse."""

import json
import shutil

import numpy as np
import pytest
import tiny_pairs
import torch
from close import recomputed
from safetensors.torch import load_file, save_file

import redviz
from redviz.errors import OnlyPairs
from redviz.models.running.budgets import AT_ONCE

PROMPT = "Review the film."
RESPONSES = ["A superb film.", "A dull film, it drags on and on.", "Fine."]


@pytest.fixture(scope="module")
def model():
    return redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu")


@pytest.fixture
def copied(tmp_path):
    """A copy whose config and tensors can be changed."""
    return shutil.copytree(tiny_pairs.checkpoint(), tmp_path / "pairs")


def wanted(folder, source, responses, limits=(1224, 412)):
    return [[0 if a is b else tiny_pairs.margin(folder, source, a, b, limits) for b in responses] for a in responses]


@pytest.mark.parametrize("tasks", [1, 3])
def test_both_orders_of_every_pair_are_the_published_margins(tasks):
    folder = tiny_pairs.checkpoint(tasks)
    found = redviz.compare(redviz.load_pair_scorer(str(folder), device="cpu"), PROMPT, RESPONSES)
    want = np.array(wanted(folder, PROMPT, RESPONSES))
    np.testing.assert_allclose(found.shown_first, want, atol=1e-5)
    np.testing.assert_allclose(found.margins, (want - want.T) / 2, atol=1e-5)
    np.testing.assert_allclose(found.order_effects, want + want.T, atol=1e-5)
    assert np.abs(want + want.T)[0, 1] > 0.1  # this model does mind the order
    assert list(found.ranking) == sorted(range(3), key=lambda i: -(want - want.T)[i].sum())


def test_margins_turn_their_sign_with_the_pair_and_do_not_hang_on_the_order_given(model):
    found = redviz.compare(model, PROMPT, RESPONSES)
    assert (found.margins == -found.margins.T).all() and found.margins.dtype == np.float32
    assert found.probability(0, 1) + found.probability(1, 0) == pytest.approx(1)
    assert found.probability(0, 1) == pytest.approx(1 / (1 + np.exp(-found.margin(0, 1))))
    turned = redviz.compare(model, PROMPT, RESPONSES[::-1])
    assert turned.margin(2, 1) == pytest.approx(found.margin(0, 1), abs=recomputed(found.margins))
    assert [RESPONSES[::-1][i] for i in turned.ranking] == [RESPONSES[i] for i in found.ranking]


def test_it_says_of_which_pairs_the_order_decides(model):
    found = redviz.compare(model, PROMPT, RESPONSES)
    decided = {(i, j) for i, j in found.pairs if found.shown_first[i, j] * found.shown_first[j, i] > 0}
    assert decided  # the tiny model has such pairs
    remark = found.order_remark("ABC")
    assert {(i, j) for i, j in found.pairs if f"{'ABC'[i]} and {'ABC'[j]}" in remark} == decided
    frame = found.to_frame()
    np.testing.assert_allclose(frame.shown_first - frame.shown_second, frame.order_effect, atol=1e-6)


def test_long_parts_are_cut_as_the_card_cuts_them_and_that_is_told(model):
    prompt, long = "the film is dull . " * 350, "superb and moving " * 250
    found = redviz.compare(model, prompt, [long, "Fine."])
    np.testing.assert_allclose(found.shown_first, wanted(tiny_pairs.checkpoint(), prompt, [long, "Fine."]), atol=1e-5)
    assert [notice.split(" has ")[0] for notice in found.notices] == ["The prompt", "Response 1"]
    assert "the first 1224" in found.notices[0] and "the first 412" in found.notices[1]
    shorter = redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu", max_length=64)
    cut = redviz.compare(shorter, prompt, [long, "Fine."])
    np.testing.assert_allclose(
        cut.shown_first, wanted(tiny_pairs.checkpoint(), prompt, [long, "Fine."], (40, 12)), atol=1e-5
    )


def test_a_conversation_is_written_as_the_authors_do(model):
    turns = [("user", "Review it."), ("assistant", "Which film?"), ("user", "The dull one.")]
    found = redviz.compare(model, [{"role": r, "content": c} for r, c in turns], RESPONSES[:2])
    source = (
        "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
        "USER: Review it.\nAssistant: <Response 1>\nUSER: The dull one.\nAssistant: <Response 2>"
    )
    parts = [f"<Response 1>: Which film?\n<Response 2>: {response}" for response in RESPONSES[:2]]
    np.testing.assert_allclose(found.shown_first, wanted(tiny_pairs.checkpoint(), source, parts), atol=1e-5)
    with pytest.raises(redviz.RedvizError, match=r"has system, user; leave the others out\.$"):
        redviz.compare(
            model, [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi."}], RESPONSES
        )


def test_a_mark_in_the_text_does_not_move_the_reading_and_is_told(model):
    one, two = "A film. <|candidate2|> is dull.", "Fine."
    found = redviz.compare(model, PROMPT, [one, two])
    assert any("Response 1 spells <|candidate2|>" in notice for notice in found.notices)
    assert np.isfinite(found.shown_first).all()
    plain = tiny_pairs.margin(tiny_pairs.checkpoint(), PROMPT, two, one)  # there the text's own mark comes last
    assert found.shown_first[1, 0] == pytest.approx(plain, abs=1e-5)


def test_a_small_budget_of_tokens_gives_the_same_margins_in_more_passes(model, monkeypatch):
    before, whole = model.forwards, redviz.compare(model, PROMPT, RESPONSES)
    assert model.forwards == before + 1
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 60)
    told = []
    parts = redviz.compare(model, PROMPT, RESPONSES, progress=lambda *at: told.append(at))
    np.testing.assert_allclose(parts.shown_first, whole.shown_first, atol=1e-5)
    assert model.forwards > before + 3 and told[0] == (0, 6) and told[-1] == (6, 6)


def test_learned_positions_end_the_text(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"position_biased_input": True}))
    tensors = load_file(copied / "model.safetensors")
    tensors["pretrained_model.embeddings.position_embeddings.weight"] = torch.randn(64, tiny_pairs.D)
    save_file(tensors, copied / "model.safetensors", {"format": "pt"})
    assert redviz.load_pair_scorer(str(copied), device="cpu").max_length == 64
    for length, words in {128: "reads 64 tokens, fewer than the 128 asked for", 8: "give at least 32 tokens"}.items():
        with pytest.raises(redviz.RedvizError, match=words):
            redviz.load_pair_scorer(str(copied), device="cpu", max_length=length)


def test_half_precision_keeps_the_head_in_float32():
    half = redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu", dtype="bfloat16")
    assert half.source.dtype == "bfloat16"
    assert {p.dtype for p in half.module.head_layer.parameters()} == {torch.float32}
    found = redviz.compare(half, PROMPT, RESPONSES)
    np.testing.assert_allclose(found.shown_first, wanted(tiny_pairs.checkpoint(), PROMPT, RESPONSES), atol=0.1)


def test_what_asks_for_the_score_of_one_response_is_refused_with_the_way_on(model):
    told = r"scores pairs of responses, and gives no score to one; use Compare or `redviz compare`, .*\.$"
    for call in (
        lambda: redviz.load_reward_model(str(tiny_pairs.checkpoint())),
        lambda: redviz.load_value_model(str(tiny_pairs.checkpoint())),
        lambda: redviz.analyze(model, PROMPT, "Fine."),
        lambda: redviz.check_model(model),
    ):
        with pytest.raises(OnlyPairs, match=told):
            call()
    with pytest.raises(redviz.RedvizError, match="judges pairs; leave methods and the models beside it out"):
        redviz.compare(model, PROMPT, RESPONSES, ["red"])
    with pytest.raises(redviz.RedvizError, match="There is 1 response to compare"):
        redviz.compare(model, PROMPT, RESPONSES[:1])


def test_it_is_known_by_its_tensors_and_what_does_not_fit_is_named(copied):
    def change(**changes):
        config = json.loads((copied / "config.json").read_text()) | changes
        (copied / "config.json").write_text(json.dumps(config))

    def refused(words):
        with pytest.raises(redviz.RedvizError, match=words):
            redviz.load_pair_scorer(str(copied), device="cpu")

    mark = json.loads((copied / "config.json").read_text())["cand2_prefix_id"]
    change(cand2_prefix_id=7)
    assert redviz.load_pair_scorer(str(copied), device="cpu").marks[2] != tiny_pairs.MARKS[2]  # ids decide, not names
    change(cand2_prefix_id=10**6)
    refused("tokenizer has no mark 1000000, which config.json calls cand2_prefix_id")
    change(cand2_prefix_id=None)
    refused("config.json is no deberta-v2 one with source_prefix_id")
    change(cand2_prefix_id=mark, hidden_size=24)
    refused("save the model again")
    change(hidden_size=tiny_pairs.D)
    tensors = load_file(copied / "model.safetensors")
    cut = {name: tensor for name, tensor in tensors.items() if "layer.1.output" not in name}
    save_file(cut, copied / "model.safetensors", {"format": "pt"})
    refused("lacks .* weights")
    save_file({k: v for k, v in tensors.items() if k[0] == "p"}, copied / "model.safetensors", {"format": "pt"})
    refused("is no model that scores pairs; load it with redviz.load_reward_model")


def test_occlusion_is_the_margin_less_that_without_each_word_in_both_orders(model):
    one, two = RESPONSES[0], "A dull  film."
    found = redviz.compare(model, PROMPT, [one, two, "Fine."], ["occlusion"])
    assert [(words.first, words.second) for words in found.words] == [(0, 1), (0, 2)]
    words, folder = found.words[0], tiny_pairs.checkpoint()
    assert [row.text for row in words.rows] == ["A", " superb", " film.", "A", " dull", "  film."]

    def both(a, b):
        return (tiny_pairs.margin(folder, PROMPT, a, b) - tiny_pairs.margin(folder, PROMPT, b, a)) / 2

    cuts = [(" superb film.", two), ("A film.", two), ("A superb", two)]
    cuts += [(one, " dull  film."), (one, "A  film."), (one, "A dull")]
    expected = [both(one, two) - both(*cut) for cut in cuts]
    np.testing.assert_allclose([row.value for row in words.rows], expected, atol=1e-5)
    assert words.largest[0].value == pytest.approx(max(expected, key=abs), abs=1e-5)
    with pytest.raises(redviz.RedvizError, match='ask for the method "occlusion" alone'):
        redviz.compare(model, PROMPT, RESPONSES, ["occlusion", "red"])
