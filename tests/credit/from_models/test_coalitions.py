"""What a coalition of units is worth: against a full forward of the altered conversation, on Transformers' own attention."""

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from redviz.credit.from_models import coalitions
from redviz.credit.from_models.coalitions import operator_for, players_of, spread, value_function
from redviz.errors import Cancelled, RedvizError
from redviz.models.kinds.function import reward_function
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example

# Mistral and Gemma 2 see 12 tokens back, and this prompt is longer.
EXAMPLE = Example(" ".join(["The film opens on a quiet street"] * 3), "  The lead is superb.\n\nBut it drags 👍 .  ")
ARCHITECTURES = ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2", "OPT"]


def setting(architecture="Llama", template="closed", example=EXAMPLE, **options):
    model = tiny.model(architecture, template, **options)
    (seen,) = observe(model, [model.encode(example)])
    return model, seen


def some_rows(count, seed=0):
    """Coalitions of every kind: whole, empty, one missing, one alone, a beginning, an end, and at random."""
    rng = np.random.default_rng(seed)
    middle = np.arange(count)
    rows = [middle >= 0, middle < 0, middle != 0, middle != count - 1, middle != count // 2, middle == count // 2]
    rows += [middle < count // 2, middle >= count // 2, middle == 0]
    return np.stack([*rows, *(rng.random((6, count)) < 0.6)])


def brute(model, seen, players, row, operator):
    """One full forward of the altered conversation, nothing shared and nothing padded."""
    e = seen.encoding
    gone = np.zeros(len(e.ids), bool)
    for player, stays in zip(players, row, strict=True):
        gone[e.start + player.first : e.start + player.last] = not stays
    kept = [c for c in range(e.start, e.read + 1) if not gone[c]]
    read = e.read if e.read >= e.stop else kept[-1] if kept else e.start - 1
    if operator == "delete":
        return tiny.own_score(model, e.ids[: read + 1][~gone[: read + 1]])
    if operator == "pad":
        return tiny.own_score(model, np.where(gone, model.tokenizer.pad_token_id, e.ids)[: read + 1])
    ids = torch.tensor(e.ids[None, : read + 1])
    out = torch.tensor(gone[: read + 1])
    with tiny.native(model) as module, torch.no_grad():
        if operator == "mean":
            table = module.get_input_embeddings()
            embeddings = table(ids)
            embeddings[0, out] = table(torch.arange(len(table.weight))).mean(0)  # Gemma 2's layer scales its weight
            hidden = module.base_model(inputs_embeds=embeddings).last_hidden_state
        else:
            places = torch.arange(read + 1)[None]
            hidden = module.base_model(ids, attention_mask=(~out)[None].long(), position_ids=places).last_hidden_state
        return module.score(hidden)[0, -1, 0].item()


def check(monkeypatch, model, seen, operator, granularity="token"):
    players = players_of(seen, granularity)
    rows = some_rows(len(players))
    wanted = np.array([brute(model, seen, players, row, operator) for row in rows])
    assert wanted.std() > 0.05
    for budget in (2048, 1):  # all in one forward from the first gap of all; one row at a time, each from its own
        monkeypatch.setitem(AT_ONCE["forward"], "cpu", budget)
        found = value_function(model, seen, players, operator)(torch.tensor(rows)).numpy()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
        assert found[0] == seen.score


@pytest.mark.parametrize("operator", ["delete", "pad", "mean", "mask"])
@pytest.mark.parametrize("template", ["closed", "none"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_a_full_forward_of_the_altered_conversation(monkeypatch, architecture, template, operator):
    check(monkeypatch, *setting(architecture, template), operator)


@pytest.mark.parametrize("granularity", ["word", "sentence"])
@pytest.mark.parametrize("template", ["trims", "thinks"])
def test_units_of_several_tokens(monkeypatch, template, granularity):
    check(monkeypatch, *setting("Llama", template), "delete", granularity)


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_a_gap_longer_than_the_window(monkeypatch, operator):
    model, seen = setting("Mistral", "none", Example("Hi", "The lead is superb and moving " * 6))
    players = players_of(seen, "token")
    rows = np.ones((2, len(players)), bool)
    rows[0, 2:-2] = rows[1, :-1] = False
    assert len(players) > 3 * 12
    found = value_function(model, seen, players, operator)(torch.tensor(rows)).numpy()
    wanted = [brute(model, seen, players, row, operator) for row in rows]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("operator", ["delete", "pad"])
def test_where_the_model_skips_padding(operator):
    """The ids hold pad tokens of their own; with pad = end-of-turn even the closing token is one."""
    inside = setting("Llama", "open", Example("The film", "A superb<|pad|> film.<|pad|><|pad|>"))
    trap = setting("Llama", "ends", pad="<|end|>")
    for model, seen in (inside, trap):
        e = seen.encoding
        assert e.read < len(e.ids) - 1
        players = players_of(seen, "token")
        rows = some_rows(len(players))
        rows = rows[rows[:, : e.read - e.start].any(1)]
        found = value_function(model, seen, players, operator)(torch.tensor(rows)).numpy()
        for row, score in zip(rows, found, strict=True):
            gone = np.zeros(len(e.ids), bool)
            for player, stays in zip(players, row, strict=True):
                gone[e.start + player.first : e.start + player.last] = not stays
            ids = e.ids[~gone] if operator == "delete" else np.where(gone, model.tokenizer.pad_token_id, e.ids)
            assert score == pytest.approx(tiny.own_score(model, ids), abs=1e-4)


def test_an_empty_response_with_nothing_after_it_scores_what_the_prompt_does():
    for operator in ("delete", "pad", "mean", "mask"):
        model, seen = setting("Llama", "none")
        players = players_of(seen, "word")
        before = model.forwards
        (found,) = value_function(model, seen, players, operator)(torch.zeros(1, len(players)))
        assert found == seen.prefix_scores[0] and model.forwards == before
        model, closed = setting("Llama", "closed")
        (found,) = value_function(model, closed, players, operator)(torch.zeros(1, len(players)))
        assert abs(found - closed.prefix_scores[0]) > 0.01


def test_a_response_of_padding_alone_is_worth_the_score_whatever_stays():
    model, seen = setting("Llama", "open", Example("The film", "<|pad|><|pad|>"))
    players = players_of(seen, "token")
    assert (value_function(model, seen, players)(torch.tensor([[0, 1], [0, 0]])) == seen.score).all()


# ---------------------------------------------------------------- what is run


def test_a_beginning_of_the_response_is_known_without_a_forward():
    model, seen = setting("Llama", "none")
    players = players_of(seen, "token")
    before = model.forwards
    beginnings = np.tri(len(players) + 1, len(players), -1)
    found = value_function(model, seen, players)(torch.tensor(beginnings))
    ends = [0, *(p.last for p in players)]
    np.testing.assert_array_equal(found.numpy(), seen.prefix_scores[ends].astype(np.float64))
    assert model.forwards == before


def test_only_what_follows_the_first_gap_is_run_and_equal_rows_once(monkeypatch):
    model, seen = setting()
    players = players_of(seen, "token")
    size = len(seen.encoding.ids) - seen.encoding.start
    run, shapes = coalitions.scores_at, []

    def watched(model, cache, embeddings, *rest):
        shapes.append((cache.length - seen.encoding.start, *embeddings.shape[:2]))
        return run(model, cache, embeddings, *rest)

    monkeypatch.setattr(coalitions, "scores_at", watched)
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", size)
    rows = torch.ones(5, len(players))
    rows[0, 0] = rows[1, -1] = rows[2, -1] = rows[3, 0] = 0
    value_function(model, seen, players)(rows)
    first, last = players[0], players[-1]
    assert shapes == [(0, 1, size - first.last), (last.first, 1, size - last.last)]


def test_the_keys_that_rows_hold_bound_a_batch_too(monkeypatch):
    model, seen = setting()
    players = players_of(seen, "token")
    sizes = []
    run = coalitions.scores_at
    monkeypatch.setattr(coalitions, "scores_at", lambda *a: (sizes.append(len(a[2])), run(*a))[1])
    length = len(seen.encoding.ids)
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", length)
    rows = torch.ones(7, len(players))
    rows[:, -3:] = torch.tensor([[n & 1, n >> 1 & 1, n >> 2] for n in range(7)])
    value_function(model, seen, players)(rows)
    rest = length - seen.encoding.start - players[-3].first
    assert rest * 7 <= length, "the tokens alone would fit one forward"
    assert sum(sizes) == 7 and 1 < max(sizes) <= coalitions.KEYS_PER_TOKEN


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from(["delete", "mask"]))
def test_neither_batches_nor_padding_change_a_score(seed, budget, operator):
    model = tiny.model("Mistral")
    encodings = [model.encode(EXAMPLE), model.encode(Example("Hi", "A dull mess, but funny"))]
    rng = np.random.default_rng(seed)
    (alone,) = observe(model, encodings[1:])
    padded = observe(model, encodings, side=("left", "right")[seed % 2])[1]
    players = players_of(alone, "token")
    rows = torch.tensor(rng.random((9, len(players))) < 0.7)
    wanted = torch.cat([value_function(model, alone, players, operator)(row[None]) for row in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AT_ONCE["forward"], "cpu", budget)
        found = value_function(model, padded, players, operator)(rows)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0, atol=1e-4)


def test_progress_counts_up_and_may_cancel(monkeypatch):
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 60)
    model, seen = setting()
    players = players_of(seen, "token")
    rows = torch.tensor(some_rows(len(players)))
    told = []
    value_function(model, seen, players)(rows, lambda done, total: told.append((done, total)))
    assert len(told) > 4 and told == sorted(told) and told[0][0] == 0
    assert told[-1] == (14, 14) and {total for _, total in told} == {14}  # all but the whole response

    def cancel(done, total):
        if done:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        value_function(model, seen, players)(rows, cancel)


def test_out_of_memory_halves_the_batch(monkeypatch):
    model, seen = setting()
    players = players_of(seen, "token")
    rows = torch.tensor(some_rows(len(players)))
    wanted = value_function(model, seen, players)(rows)
    run, sizes = coalitions.scores_at, []

    def short_of_memory(model, cache, embeddings, *rest):
        sizes.append(len(embeddings))
        if len(embeddings) > most:
            raise torch.OutOfMemoryError("no more")
        return run(model, cache, embeddings, *rest)

    monkeypatch.setattr(coalitions, "scores_at", short_of_memory)
    most = 3
    np.testing.assert_allclose(value_function(model, seen, players)(rows), wanted, rtol=0, atol=1e-4)
    assert sizes[:3] == [14, 7, 3] and set(sizes[3:]) <= {1, 2, 3}
    most = 0
    with pytest.raises(RedvizError, match="single altered response"):
        value_function(model, seen, players)(rows)


# ---------------------------------------------------------------- functions, and what is refused


def test_a_function_reads_the_words_that_stay():
    asked = []
    model = reward_function(lambda prompt, response: asked.append((prompt, response)) or len(response), name="length")
    seen = model.observe(model.encode(Example("Well?", "Not a  bad\nfilm!")))
    asked.clear()
    players = players_of(seen, "word")
    told = []
    value = value_function(model, seen, players)
    ones = torch.ones(3, len(players))
    ones[1, 1] = ones[2] = 0
    found = value(ones, lambda *counts: told.append(counts))
    texts = ["".join(p.text for p in players), "".join(p.text for p in players if p is not players[1]), ""]
    assert found.tolist() == [len(text) for text in texts] and texts[0] == "Not a  bad\nfilm!"
    assert {text for _, text in asked} <= set(texts) and {prompt for prompt, _ in asked} == {"Well?"}
    assert told[0][0] == 0 and told[-1][0] == told[-1][1] > 0


def test_operators_that_make_no_sense():
    with pytest.raises(RedvizError, match="delete, pad, mean, mask"):
        operator_for(tiny.model(), "blank")
    model = reward_function(len, name="length")
    with pytest.raises(RedvizError, match='use operator "delete"'):
        operator_for(model, "pad")


def test_pad_is_the_mean_where_the_tokenizer_has_no_pad():
    table = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    model = bag(table.tolist(), [1.0, 2.0, 3.0])
    (seen,) = observe(model, [encoding([2], [3, 4], [1])])
    players = players_of(seen, "token")
    row = torch.tensor([[1.0, 0.0]])
    weights = torch.tensor([1.0, 2.0, 3.0])
    fixed = table[2] + table[3] + table[1]
    assert value_function(model, seen, players, "pad")(row).item() == pytest.approx(
        float((fixed + table[0]) @ weights), abs=1e-5
    )
    model.tokenizer.pad_token_id = None
    assert operator_for(model, "pad") == "mean"
    assert value_function(model, seen, players, "pad")(row).item() == pytest.approx(
        float((fixed + table.mean(0)) @ weights), abs=1e-5
    )


def test_a_units_credit_is_spread_evenly_over_its_tokens():
    _, seen = setting()
    players = players_of(seen, "word")
    credits = np.arange(len(players)) + 1.0
    values = spread(credits, players)
    assert len(values) == len(seen.encoding.offsets)
    np.testing.assert_allclose([values[p.first : p.last].sum() for p in players], credits)
    assert all(np.ptp(values[p.first : p.last]) == 0 for p in players)
