"""Token rewards for trainers, against brute force on tiny models and against TRL's own reading."""

import logging

import numpy as np
import pytest
import torch
from close import recomputed, summed
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from redviz import trainer
from redviz.analysis import analyze
from redviz.credit.recipes import METHODS
from redviz.errors import RedvizError
from redviz.models.kinds.function import reward_function
from redviz.models.loading.load import load_reward_model
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Credit, Example
from redviz.trainer import token_rewards
from tests import tiny
from tests.models.test_token_bytes import sentencepiece

PROMPT = "Write a short review of the film."
RESPONSES = ["A superb film.", "Dull, tedious. I did not like it at all!", "né 🎬 moving", "so-so"]
ALONE = [
    name for name, info in METHODS.items() if info.additive and info.needs in ("observation", "attention", "model")
]


def bytewise(template: str | None = None) -> PreTrainedTokenizerFast:
    """A policy's tokenizer with one token for every byte, so that nearly every token ends inside a word or a character."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tok = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tok.chat_template = template
    return tok


def rollout(tok, pairs, *, eos=True, side="right"):
    """Ids, attention mask and response mask of prompts and responses joined as they are, padded on one side."""
    rows = []
    for prompt, response in pairs:
        before = tok(prompt, add_special_tokens=False)["input_ids"]
        after = tok(response, add_special_tokens=False)["input_ids"] + [tok.eos_token_id] * eos
        rows.append((before, after))
    width = max(len(a) + len(b) for a, b in rows)
    out = [[], [], []]
    for before, after in rows:
        gap = [0] * (width - len(before) - len(after))
        joined = [before + after, [1] * (len(before) + len(after)), [0] * len(before) + [1] * len(after)]
        for column, own in zip(out, joined, strict=True):
            fill = [tok.pad_token_id] * len(gap) if column is out[0] else gap
            column.append(fill + own if side == "left" else own + fill)
    return tuple(np.array(x) for x in out)


def headed(model, response, **options):
    """The same rows as the model's template writes them: the header as prompt, so that ids are those of `encode`."""
    encoding = model.encode(Example(PROMPT, response))
    return encoding, model.tokenizer.decode(encoding.ids[: encoding.start], skip_special_tokens=False)


def of_template(model, responses, *, side="right", eos=True):
    pairs = [(headed(model, r)[1], r) for r in responses]
    return rollout(model.tokenizer, pairs, side=side, eos=eos)


def brute(model, ids, mask):
    """P_0 .. P_T of one unpadded row by T + 1 forwards."""
    start, stop = np.flatnonzero(mask)[[0, -1]] + (0, 1)
    return np.array([tiny.own_score(model, ids[:c]) for c in range(start, stop + 1)])


# ---------------------------------------------------------------- ids as they are


@pytest.mark.parametrize("architecture", ["Llama", "GPT2", "Mistral"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("eos", [True, False])
def test_rewards_are_the_differences_of_the_models_own_scores(architecture, side, eos):
    model = tiny.model(architecture)
    ids, seen, mask = of_template(model, RESPONSES, side=side, eos=eos)
    rewards = token_rewards(model, ids, seen, mask)
    assert rewards.dtype == np.float32
    assert rewards.shape == mask.shape
    assert (rewards[mask == 0] == 0).all()
    for row in range(len(ids)):
        own = ids[row][seen[row] == 1]
        scores = brute(model, own, mask[row][seen[row] == 1])
        np.testing.assert_allclose(rewards[row][mask[row] == 1], np.diff(scores), atol=2e-4)


def test_padding_and_company_change_nothing():
    model = tiny.model("Mistral")
    left, right = (token_rewards(model, *of_template(model, RESPONSES, side=side)) for side in ("left", "right"))
    for row, response in enumerate(RESPONSES):
        ids, seen, mask = of_template(model, [response])
        alone = token_rewards(model, ids, seen, mask)[0][mask[0] == 1]
        for other, side in ((left, "left"), (right, "right")):
            own = of_template(model, RESPONSES, side=side)[2][row] == 1
            np.testing.assert_allclose(other[row][own], alone, atol=1e-4)


def test_columns_that_nobody_attends_to_are_not_there():
    model = tiny.model("Mistral")
    ids, seen, mask = of_template(model, RESPONSES[:1])
    holes = [np.insert(x, (2, 5, ids.shape[1] - 4), fill, axis=1) for x, fill in ((ids, 7), (seen, 0), (mask, 0))]
    found = token_rewards(model, *holes)
    assert (found[holes[1] == 0] == 0).all()
    assert np.array_equal(found[holes[1] == 1], token_rewards(model, ids, seen, mask)[0])


def test_a_response_in_the_middle_has_its_closing_tokens_after_it():
    model = tiny.model()
    encoding = model.encode(Example(PROMPT, RESPONSES[1]))
    ids, mask = encoding.ids[None], np.zeros((1, len(encoding.ids)), np.int64)
    mask[0, encoding.start : encoding.stop] = 1
    found = analyze(model, PROMPT, RESPONSES[1], methods=["red", "abc", "uniform", "shapley"])
    for method, credit in found.credits.items():
        rewards = token_rewards(model, ids, np.ones_like(ids), mask, method=method)[0]
        np.testing.assert_allclose(rewards[mask[0] == 1], credit.values, atol=1e-5)


def test_trl_reads_the_same_scores(needed):
    utils = needed("trl.experimental.utils", "get_reward")
    model = tiny.model()
    pad = model.tokenizer.pad_token_id
    ids, seen, mask = of_template(model, RESPONSES)
    with tiny.native(model, "sdpa") as module, torch.inference_mode():
        context = int(np.flatnonzero(mask[0])[0])
        logits, finals, lengths = utils.get_reward(module, torch.from_numpy(ids), pad, context)
    scores = logits[..., 0].numpy()  # [B, L]
    rewards = token_rewards(model, ids, seen, mask)
    jobs = trainer._jobs(model, ids, seen.astype(bool), mask.astype(bool), trainer._recipe("red", None), None, None)
    for row, observation in enumerate(observe(model, [job.encoding for job in jobs])):
        length = int(seen[row].sum())
        np.testing.assert_allclose(observation.column_scores, scores[row, :length], atol=1e-4)
        assert observation.score == pytest.approx(float(finals[row]), abs=1e-4)
        assert observation.encoding.read == int(lengths[row])
        (columns,) = np.nonzero(mask[row])
        np.testing.assert_allclose(rewards[row, columns], scores[row, columns] - scores[row, columns - 1], atol=1e-4)
        total = float(finals[row]) - scores[row, columns[0] - 1]
        assert rewards[row].sum(dtype=np.float64) == pytest.approx(total, abs=1e-4)


def test_fewer_columns_of_the_mask_are_the_last_ones():
    model = tiny.model()
    ids, seen, mask = of_template(model, RESPONSES, side="left")
    whole = token_rewards(model, ids, seen, mask)
    first = int(np.flatnonzero(mask.any(0))[0])
    for columns in (ids.shape[1] - first, ids.shape[1] - 1):  # TRL and verl; OpenRLHF
        assert np.array_equal(token_rewards(model, ids, seen, mask[:, -columns:]), whole[:, -columns:])


def test_tensors_in_tensors_out():
    model = tiny.model()
    arrays = of_template(model, RESPONSES)
    ids, seen, mask = map(torch.from_numpy, arrays)
    found = token_rewards(model, ids, seen.bool(), mask.bool(), kl=torch.zeros(mask.shape, dtype=torch.bfloat16))
    assert isinstance(found, torch.Tensor)
    assert (found.dtype, found.device) == (torch.float32, ids.device)
    assert not found.requires_grad
    assert np.array_equal(found.numpy(), token_rewards(model, *arrays))


def test_the_same_call_gives_the_same_numbers():
    model = tiny.model()
    batch = of_template(model, RESPONSES)
    for options in ({}, {"method": "shapley", "options": {"samples": 3}}):
        assert np.array_equal(token_rewards(model, *batch, **options), token_rewards(model, *batch, **options))


def test_rows_without_a_response_are_zero():
    model = tiny.model()
    ids, seen, mask = of_template(model, RESPONSES)
    mask[1] = 0
    seen[1] = 0
    rewards = token_rewards(model, ids, seen, mask)
    assert (rewards[1] == 0).all()
    assert rewards[0].any()
    assert token_rewards(model, ids[:0], seen[:0], mask[:0]).shape == (0, ids.shape[1])


def test_the_score_is_read_where_the_model_reads_it():
    # pad = eos: Transformers' own forward skips a final EOS, so that the EOS earns nothing unless it is read by name
    followed = tiny.model("Llama", "ends", pad="<|end|>")
    last = load_reward_model(str(tiny.checkpoint("Llama", "ends", pad="<|end|>")), device="cpu", read="last")
    ids, seen, mask = of_template(followed, ["A superb film."])
    scores = brute(last, ids[0], mask[0])
    by_model, by_name = (token_rewards(m, ids, seen, mask)[0][mask[0] == 1] for m in (followed, last))
    assert by_model[-1] == pytest.approx(0.0, abs=1e-6)
    assert by_model.sum() == pytest.approx(tiny.own_score(followed, ids[0]) - scores[0], abs=1e-4)
    np.testing.assert_allclose(by_name[:-1], by_model[:-1], atol=1e-5)
    hidden = observe(last, [last.encode(Example(PROMPT, "A superb film."))])[0]
    assert by_name.sum() == pytest.approx(float(hidden.column_scores[-1]) - scores[0], abs=1e-4)


def test_batches_are_split_to_fit_memory(monkeypatch):
    model = tiny.model()
    batch = of_template(model, RESPONSES * 3)
    before = model.forwards
    at_once = token_rewards(model, *batch)
    assert model.forwards == before + 1
    monkeypatch.setitem(AT_ONCE["responses"], "cpu", 2 * batch[0].shape[1])
    np.testing.assert_allclose(token_rewards(model, *batch), at_once, atol=1e-5)
    assert model.forwards >= before + 1 + 4

    def scarce(model, encodings, **options):
        if len(encodings) > 1:
            raise torch.OutOfMemoryError
        return observe(model, encodings, **options)

    monkeypatch.setattr(trainer, "observe", scarce)
    np.testing.assert_allclose(token_rewards(model, *batch), at_once, atol=1e-5)


def test_kl_is_taken_inside_the_mask():
    model = tiny.model()
    ids, seen, mask = of_template(model, RESPONSES)
    kl = np.random.default_rng(0).normal(size=mask.shape)
    kl[mask == 0] = np.nan
    plain, penalised = token_rewards(model, ids, seen, mask), token_rewards(model, ids, seen, mask, kl=kl, kl_coef=0.5)
    np.testing.assert_allclose(penalised, plain - 0.5 * np.where(mask, kl, 0.0), atol=1e-6)


# ---------------------------------------------------------------- another tokenizer


def mapped_brute(model, tok, prompt, response, eos):
    """METHODS: credit of policy token t is s[right_t] - s[right_{t-1}], s from separate forwards, right_t by bytes."""
    encoding = model.encode(Example(prompt, response))
    scores = tiny.brute_prefixes(model, encoding)  # [T'+1]
    final = tiny.own_score(model, encoding.ids)
    sizes = [len(tiny_bytes(model.tokenizer, i)) for i in encoding.ids[encoding.start : encoding.stop]]
    assert sum(sizes) == len(response.encode())
    theirs = np.cumsum(sizes)
    ours = np.cumsum([len(tiny_bytes(tok, i)) for i in tok(response, add_special_tokens=False)["input_ids"]])
    right = [0, *(int((theirs <= end).sum()) for end in ours)]
    credits = np.diff(scores[right])
    if eos:
        return np.append(credits, final - scores[-1])
    credits[-1] += final - scores[-1]
    return credits


def tiny_bytes(tok, token_id):
    """Bytes of one token through the alphabet of the tokenizers library itself, one character at a time."""
    from redviz.models.reading.token_bytes import BYTE_OF

    return bytes(BYTE_OF[c] for c in tok.convert_ids_to_tokens(int(token_id)))


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("template", ["closed", "open"])
def test_credits_are_mapped_by_bytes(eos, side, template):
    model, tok = tiny.model("Llama", template), bytewise()
    responses = [*RESPONSES, " leading blank", "👩‍👩‍👧 and 🎬🎬", "tab\t\n\nlines"]
    ids, seen, mask = rollout(tok, [(PROMPT, r) for r in responses], eos=eos, side=side)
    rewards = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)
    for row, response in enumerate(responses):
        wanted = mapped_brute(model, tok, PROMPT, response, eos)
        np.testing.assert_allclose(rewards[row][mask[row] == 1], wanted, atol=2e-4)
        credit = analyze(model, PROMPT, response, methods=["red"]).credits["red"]
        kept = float(credit.values.sum(dtype=np.float64))
        apart = summed(rewards[row], credit.values) + recomputed(credit.total, credit.reference)
        assert rewards[row].sum(dtype=np.float64) == pytest.approx(kept, rel=0, abs=apart)


def test_a_sentencepiece_policy_is_mapped_too():
    model, tok = tiny.model(), sentencepiece()  # it drops the blank that opens a text and spells an emoji in four bytes
    batch = rollout(tok, [(PROMPT, response) for response in RESPONSES])
    found = token_rewards(model, *batch, policy_tokenizer=tok)
    for row, response in enumerate(RESPONSES):
        encoding = model.encode(Example(PROMPT, response))
        pieces = tok.convert_ids_to_tokens(batch[0][row][batch[2][row] == 1][:-1].tolist())
        sizes = [1 if piece.startswith("<0x") else len(piece.replace("▁", " ").encode()) for piece in pieces]
        ours = np.cumsum(sizes) - 1
        assert ours[-1] == len(response.encode())
        theirs = np.cumsum([len(tiny_bytes(model.tokenizer, i)) for i in encoding.ids[encoding.start : encoding.stop]])
        right = [0, *(int((theirs <= end).sum()) for end in ours)]
        scores = tiny.brute_prefixes(model, encoding)
        wanted = [*np.diff(scores[right]), tiny.own_score(model, encoding.ids) - scores[-1]]
        np.testing.assert_allclose(found[row][batch[2][row] == 1], wanted, atol=2e-4)


def test_tokens_without_a_new_boundary_are_exactly_zero():
    model, tok = tiny.model(), bytewise()
    ids, seen, mask = rollout(tok, [(PROMPT, "superb and funny")])
    encoding = model.encode(Example(PROMPT, "superb and funny"))
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)[0][mask[0] == 1]
    ends = {end - 1 for _, end in encoding.offsets} | {len(found) - 1}
    assert {t for t in range(len(found)) if found[t]} <= ends
    assert len(ends) < len(found)


def test_an_emoji_that_both_cut_gets_its_credits_byte_by_byte():
    model, tok = tiny.model(), bytewise()
    ids, seen, mask = rollout(tok, [(PROMPT, "🎬")])
    encoding = model.encode(Example(PROMPT, "🎬"))
    assert encoding.stop - encoding.start == 4
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)[0][mask[0] == 1]
    credit = analyze(model, PROMPT, "🎬", methods=["red"]).credits["red"]
    np.testing.assert_allclose(found, [*credit.own, credit.closing], atol=recomputed(found))


def test_coarser_tokens_get_the_sum_of_finer_ones():
    # the reward model cuts into more tokens than the policy
    fine = reward_function(lambda prompt, response: float(len(response)), split="character")
    tok = tiny.tokenizer("none")
    ids, seen, mask = rollout(tok, [(PROMPT, "superb film")])
    found = token_rewards(fine, ids, seen, mask, policy_tokenizer=tok, method="truncation")[0][mask[0] == 1]
    sizes = [len(tiny_bytes(tok, i)) for i in ids[0][mask[0] == 1][:-1]]
    assert found.tolist() == [*map(float, sizes), 0.0]


def test_messages_with_the_own_tokenizer_equal_the_ids():
    model = tiny.model("Llama", "ends")  # one closing token: the EOS itself
    ids, seen, mask = of_template(model, RESPONSES)
    as_they_are = token_rewards(model, ids, seen, mask)
    for conversation in (PROMPT, [{"role": "user", "content": PROMPT}]):
        anew = token_rewards(model, ids, seen, mask, messages=[conversation] * len(ids))
        np.testing.assert_allclose(anew, as_they_are, atol=1e-4)


def test_special_tokens_inside_a_response_are_skipped():
    model, tok = tiny.model(), bytewise()
    tok.add_special_tokens({"additional_special_tokens": ["<tool>"]})
    ids, seen, mask = rollout(tok, [(PROMPT, "A superb<tool> film.")])
    (place,) = np.flatnonzero(ids[0] == tok.convert_tokens_to_ids("<tool>"))
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)
    without = [np.delete(x, place, axis=1) for x in (ids, seen, mask)]
    assert found[0, place] == 0
    assert np.array_equal(np.delete(found, place, axis=1), token_rewards(model, *without, policy_tokenizer=tok))


def test_rounding_to_float32_does_not_add_up():
    third = Credit(np.full(3000, 1 / 3), 1000.0, 0.0)  # float32 thirds alone would be 3e-5 off
    job = trainer._Job(0, np.arange(3000), None, np.arange(3000))
    assert abs(trainer._at_tokens(third, job).sum(dtype=np.float64) - 1000.0) < 1e-7


@settings(max_examples=25)
@given(st.lists(st.integers(min_value=0, max_value=255), min_size=1, max_size=24))
def test_sums_are_kept_whatever_was_sampled(sampled):
    model, tok = tiny.model(), bytewise()
    before = tok(PROMPT)["input_ids"]
    ids = np.array([[*before, *sampled, tok.eos_token_id]])
    mask = np.array([[0] * len(before) + [1] * (len(sampled) + 1)])
    text = tok.decode(sampled)
    found = token_rewards(model, ids, np.ones_like(ids), mask, policy_tokenizer=tok)
    try:
        analysis = analyze(model, PROMPT, text, methods=["red"])
    except RedvizError:
        assert not text.strip()
        return
    assert found.sum(dtype=np.float64) == pytest.approx(analysis.score - analysis.base, abs=1e-5)


@pytest.mark.parametrize("response", ["", " \n "])
def test_a_policy_that_ends_at_once_is_scored_as_the_template_closes_it(response):
    model, tok = tiny.model("Llama", "trims"), bytewise()
    ids, seen, mask = rollout(tok, [(PROMPT, response)])
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)[0]
    closed = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ""}], tokenize=False
    )
    empty = model.tokenizer(closed, add_special_tokens=False)["input_ids"]
    base = observe(model, [model.encode(Example(PROMPT, "x"))])[0].prefix_scores[0]
    assert found[-1] == pytest.approx(tiny.own_score(model, empty) - base, abs=1e-4)
    assert (found[:-1] == 0).all()


def test_longer_responses_are_cut_and_it_is_said(caplog):
    model = load_reward_model(str(tiny.checkpoint()), device="cpu", max_length=40)
    tok = bytewise()
    ids, seen, mask = rollout(tok, [(PROMPT, "superb " * 40)])
    with caplog.at_level(logging.WARNING, "redviz"):
        found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)
    assert "1 of 1 responses were cut to the 40 tokens" in caplog.text
    analysis = analyze(model, PROMPT, "superb " * 40, methods=["red"])
    assert found.sum() == pytest.approx(analysis.score - analysis.base, abs=1e-5)


# ---------------------------------------------------------------- tool output in a rollout, prompts cut or gone on with

TURNS = (
    "<|user|>W?<|end|><|assistant|>",
    "I look it up.<|end|>",
    "<|tool|>Sunny<|end|><|assistant|>",
    "It is sunny.<|end|>",
)


def with_tool(model, pad=2):
    """A rollout whose response holds tool output, beside one without: ids, attention mask, response mask, lengths of its turns."""
    turns = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TURNS]
    sizes = [len(turn) for turn in turns]
    one, other = sum(turns, []), turns[0] + turns[1]
    mask = [0] * sizes[0] + [1] * sizes[1] + [0] * sizes[2] + [1] * sizes[3]
    fill = len(one) - len(other) + pad
    ids = np.array([[0] * pad + one, [0] * fill + other])
    seen = np.array([[0] * pad + [1] * len(one), [0] * fill + [1] * len(other)])
    return ids, seen, np.array([[0] * pad + mask, [0] * (fill + sizes[0]) + [1] * sizes[1]]), sizes


@pytest.mark.parametrize("last_columns", [False, True])
def test_tool_output_gets_nothing_and_the_sum_is_kept(last_columns):
    model = tiny.model()
    ids, seen, mask, sizes = with_tool(model)
    shown = mask[:, 2 + sizes[0] :] if last_columns else mask  # verl's and OpenRLHF's form
    rewards = token_rewards(model, ids, seen, shown)
    assert rewards.shape == shown.shape and (rewards[shown == 0] == 0).all()
    own = ids[0][2:]
    scores = np.array([tiny.own_score(model, own[:c]) for c in range(sizes[0], len(own) + 1)])
    first, hole = sizes[1], sizes[1] + sizes[2]
    found = rewards[0][shown[0] == 1]
    np.testing.assert_allclose(found[:first], np.diff(scores[: first + 1]), atol=2e-4)
    assert found[first] == pytest.approx(scores[hole + 1] - scores[first], abs=2e-4)  # what the tool said, and its own
    np.testing.assert_allclose(found[first + 1 :], np.diff(scores[hole + 1 :]), atol=2e-4)
    assert found.sum() == pytest.approx(scores[-1] - scores[0], abs=2e-4)
    alone = token_rewards(model, ids[1:], seen[1:], shown[1:])
    np.testing.assert_allclose(rewards[1], alone[0], atol=1e-4)


@pytest.mark.parametrize("method", ["uniform", "sparse", "abc", "red_closed", "ig"])
def test_every_method_leaves_tool_output_without_reward(method):
    model = tiny.model()
    ids, seen, mask, _ = with_tool(model)
    options = {"steps": 2} if method == "ig" else {}
    rewards = token_rewards(model, ids, seen, mask, method=method, options=options)
    whole = mask.copy()
    whole[0, np.flatnonzero(mask[0])[0] : np.flatnonzero(mask[0])[-1]] = 1
    filled = token_rewards(model, ids, seen, whole, method=method, options=options)
    assert (rewards[mask == 0] == 0).all() and np.isfinite(rewards).all()
    np.testing.assert_allclose(rewards.sum(1), filled.sum(1), atol=1e-4)
    if method == "uniform":
        assert np.ptp(rewards[0][mask[0] == 1]) < 1e-6


def test_tool_output_inside_one_turn_is_read_as_text_and_of_turns_it_is_refused():
    model, tok = tiny.model(), bytewise()
    ids, seen, mask = rollout(tok, [(PROMPT, "I look. [Sunny] It is sunny.")])
    hole = slice(len(PROMPT) + len("I look. "), len(PROMPT) + len("I look. [Sunny]"))
    mask[0, hole] = 0
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok)[0]
    analysis = analyze(model, PROMPT, "I look. [Sunny] It is sunny.", methods=["red"])
    assert (found[mask[0] == 0] == 0).all()
    assert found.sum() == pytest.approx(analysis.score - analysis.base, abs=1e-5)
    before = sum(v for v, (_, end) in zip(analysis.credits["red"].own, analysis.offsets, strict=True) if end <= 8)
    assert found[: hole.start].sum() == pytest.approx(before, abs=1e-5)
    with pytest.raises(RedvizError, match="Row 0: The response has turns of its own in it"):
        token_rewards(model, *with_tool(model)[:3], messages=["W?", "W?"])


def test_a_conversation_that_ends_in_the_assistants_turn_is_gone_on_with():
    model, tok = tiny.model(), bytewise()
    ids, seen, mask = rollout(tok, [("whatever it read", " superb film.")], eos=False)
    begun = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "It is a"}]
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok, messages=[begun])
    text = model.tokenizer.apply_chat_template(
        [begun[0], {"role": "assistant", "content": "It is a superb film."}], tokenize=False
    )
    header = text.index(" superb film.")
    scores = [
        tiny.own_score(model, model.tokenizer(t, add_special_tokens=False)["input_ids"]) for t in (text, text[:header])
    ]
    assert found.sum() == pytest.approx(scores[0] - scores[1], abs=1e-4)


def test_a_prompt_that_was_cut_on_the_left_is_read_as_far_as_it_is_there():
    model, tok = tiny.model(), bytewise()
    ids, seen, mask = of_template(model, RESPONSES[:1], eos=False)
    cut = [x[:, 4:] for x in (ids, seen, mask)]
    scores = brute(model, cut[0][0], cut[2][0])
    np.testing.assert_allclose(token_rewards(model, *cut)[0][cut[2][0] == 1], np.diff(scores), atol=2e-4)
    cut = [x[:, 6:] for x in rollout(tok, [(PROMPT, RESPONSES[0])])]
    analysis = analyze(model, PROMPT[6:], RESPONSES[0], methods=["red"])
    found = token_rewards(model, *cut, policy_tokenizer=tok)
    assert found.sum() == pytest.approx(analysis.score - analysis.base, abs=1e-5)


# ---------------------------------------------------------------- methods


@pytest.mark.parametrize("method", [m for m in ALONE if m != "deeplift"])
def test_every_method_keeps_its_sum_in_both_ways(method):
    model, tok = tiny.model("Llama", "ends"), bytewise()
    options = {"samples": 8} if "samples" in METHODS[method].options else {"steps": 2} if method == "ig" else {}
    credit = analyze(model, PROMPT, RESPONSES[0], methods={method: options}).credits[method]
    wanted = float(credit.values.sum(dtype=np.float64))
    batch = rollout(tok, [(PROMPT, RESPONSES[0])])
    found = token_rewards(model, *batch, policy_tokenizer=tok, method=method, options=options)
    assert found.sum(dtype=np.float64) == pytest.approx(wanted, abs=1e-5)
    own = of_template(model, RESPONSES[:1], eos=False)  # without the EOS: an open row, so its sum is of that row
    if method == "truncation":
        with pytest.raises(RedvizError, match="truncation scores texts of its own"):
            token_rewards(model, *own, method=method)
        return
    rewards = token_rewards(model, *own, method=method, options=options)
    assert np.isfinite(rewards).all()
    assert rewards[own[2] == 1].any()
    if METHODS[method].sums_to == "R":
        assert rewards.sum() == pytest.approx(tiny.own_score(model, own[0][0]), abs=1e-4)


@pytest.mark.parametrize(
    ("method", "options", "share"),
    [
        ("sparse", {}, 1.0),
        ("red", {"beta_c": 0.25}, 0.75),
        ("red_closed", {"beta_c": 0.25}, 0.75),
        ("abc", {"b": 0.5}, 0.5),
        ("red", {"beta_c": 0.25, "segment": "word"}, 0.75),
    ],
)
def test_what_stays_whole_stands_on_the_eos(method, options, share):
    # else the choice to end would have no part in the outcome: its return must be share * R + what closing earns
    model, tok = tiny.model("Llama", "ends"), bytewise()
    batch = rollout(tok, [(PROMPT, RESPONSES[0])])
    found = token_rewards(model, *batch, policy_tokenizer=tok, method=method, options=options)[0][batch[2][0] == 1]
    analysis = analyze(model, PROMPT, RESPONSES[0], methods={"of": {**options, "method": method}})
    closing = options["beta_c"] * analysis.closing if method == "red" else 0.0
    assert found[-1] == pytest.approx(share * analysis.score + closing, abs=1e-4)
    assert found.sum() == pytest.approx(float(analysis.credits["of"].values.sum()), abs=1e-5)


def test_red_closed_takes_a_final_eos_for_the_closing():
    model = tiny.model("Llama", "ends")
    ids, seen, mask = of_template(model, RESPONSES[:1])
    found = token_rewards(model, ids, seen, mask, method="red_closed")[0][mask[0] == 1]
    credit = analyze(model, PROMPT, RESPONSES[0], methods=["red_closed"]).credits["red_closed"]
    np.testing.assert_allclose(found, [*credit.own, credit.closing], atol=1e-5)


def test_words_get_one_credit():
    model = tiny.model("Llama", "ends")
    ids, seen, mask = of_template(model, RESPONSES[:1], eos=False)
    found = token_rewards(model, ids, seen, mask, options={"segment": "word", "place": "end"})[0][mask[0] == 1]
    plain = token_rewards(model, ids, seen, mask)[0][mask[0] == 1]
    pieces = [model.tokenizer.decode([i]) for i in ids[0][mask[0] == 1]]
    words, inside = [], [0.0]
    for piece, value in zip(pieces, plain, strict=True):
        if (piece.startswith(" ") or piece == ".") and words:
            inside.append(0.0)
        words.append(piece)
        inside[-1] += float(value)
    np.testing.assert_allclose(found[np.flatnonzero(found)], inside, atol=1e-5)


def test_a_function_of_text_is_a_reward_too():
    tok = tiny.tokenizer("none")
    model = reward_function(lambda prompt, response: float("superb" in response))
    ids, seen, mask = rollout(tok, [(PROMPT, "A superb film."), (PROMPT, "dull")])
    found = token_rewards(model, ids, seen, mask, policy_tokenizer=tok, method="sparse")
    assert found.sum(1).tolist() == [1.0, 0.0]
    assert found[0][mask[0] == 1][-1] == 1.0
    with pytest.raises(RedvizError, match="reads text, not ids; give policy_tokenizer"):
        token_rewards(model, ids, seen, mask, method="sparse")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "occlusion"}, "occlusion promises no sum"),
        ({"method": "dpo"}, "dpo reads more than the reward model"),
        ({"method": "abc_d"}, "abc_d reads more than the reward model"),
        ({"options": {"kl_coef": 0.1}}, "give kl and kl_coef to token_rewards itself"),
        ({"options": {"alpha": -1.0}}, "call it for each reward model"),
        ({"options": {"layer": 1}}, "red has no option layer"),
        ({"method": "magic"}, "There is no method 'magic'"),
        ({"kl_coef": 0.1}, "there is no kl"),
        ({"kl": np.zeros((2, 3))}, "kl has shape"),
        ({"messages": ["one"]}, "There are 1 conversations for 2 rows"),
    ],
)
def test_refusals_of_what_is_asked(change, sentence):
    model = tiny.model()
    batch = of_template(model, RESPONSES[:2])
    with pytest.raises(RedvizError, match=sentence):
        token_rewards(model, *batch, **change)


def test_refusals_of_rows():
    model = tiny.model()
    ids, seen, mask = of_template(model, RESPONSES[:2])

    def refused(sentence, ids=ids, seen=seen, mask=mask, **options):
        with pytest.raises(RedvizError, match=sentence):
            token_rewards(model, ids, seen, mask, **options)

    refused("Row 0: The response mask holds tokens that the attention mask hides", seen=seen * 0)
    refused("Row 0: Nothing stands before the response", mask=seen)
    refused("response_mask holds something other than 0 and 1", mask=mask * 2)
    refused(r"input_ids has shape \(\d+,\)", ids=ids[0])
    refused("input_ids holds float64; give whole numbers", ids=ids / 2)
    refused("input_ids has rows of unequal length", ids=[[1, 2], [3]])
    refused("do not fit together", seen=seen[:, :-1])
    refused("Row 0: Id 4000 is not among the", ids=np.where(mask, 4000, ids))
    refused("Row 0: The policy's tokenizer has a chat template", policy_tokenizer=bytewise(tiny.CLOSED))
    long = [np.repeat(x, 40, axis=1) for x in (ids, seen, mask)]
    refused("are more than the 512 that", *long)
    refused("kl holds NaN", kl=np.full(mask.shape, np.nan), kl_coef=0.1)
