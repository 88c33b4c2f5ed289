"""A head on the mean of all hidden states (Open-Assistant GPT-NeoX): every way a score is had, against whole forwards of each text."""

import json

import numpy as np
import pytest
import tiny
import torch
from tiny_families import config_of, linear, named, saved
from transformers import GPTNeoXConfig
from typer.testing import CliRunner

import redviz
from redviz.cli.main import app as cli
from redviz.credit.from_models.coalitions import players_of, value_function
from redviz.credit.from_models.gradient_inputs import baseline_embedding
from redviz.credit.recipes import METHODS
from redviz.errors import RedvizError
from redviz.evaluation.edits.edits import what_if
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import observe
from redviz.models.running.pooling import packed, running_mean
from redviz.records import Example

PROMPT, RESPONSE = "Write a short review of the film.", "The lead is superb , moving and funny . But it drags."
PAIRS = [(PROMPT, RESPONSE), ("And the music ?", "Dull .")]


@pytest.fixture(scope="module", params=["own", "closed"])
def family(request, tmp_path_factory):
    """A model with the family's names, under its own template and one with more closing tokens; its score of ids or embeddings."""
    folder = tmp_path_factory.mktemp("mean")
    head = linear(bias=True)
    changes = {"model_type": "gpt_neox_reward_model", "pooling": "mean", "architectures": ["GPTNeoXRewardModel"]}
    template = tiny.CLOSED if request.param == "closed" else None
    trunk, tok = saved(
        folder, config_of(GPTNeoXConfig), "gpt_neox.", named("out_proj", head), template, changes=changes
    )

    def score(ids=None, **given):
        """The published lines without padding: the mean of all hidden states, and the head."""
        given = given or {"input_ids": torch.as_tensor(np.asarray(ids))[None]}
        return head(trunk(**given).last_hidden_state.mean(1))[:, 0]

    return load_reward_model(str(folder), device="cpu"), score, folder


def value(score, ids):
    with torch.no_grad():
        return float(score(ids))


def test_every_prefix_of_one_pass_on_both_paddings(family):
    model, score, _ = family
    assert model.source.family == "open_assistant" and model.pooled and not model.both_ways
    encodings = [model.encode(Example(*pair)) for pair in PAIRS]
    whole = [encoding.ids.tolist() for encoding in encodings]
    for side in ("right", "left"):
        assert model.own_scores(whole, side).tolist() == pytest.approx([value(score, ids) for ids in whole], abs=1e-5)
        for one, ids in zip(observe(model, encodings, side=side), whole, strict=True):
            brute = [value(score, ids[:end]) for end in range(1, len(ids) + 1)]
            np.testing.assert_allclose(one.column_scores, brute, atol=1e-5)
            assert one.score == pytest.approx(brute[-1], abs=1e-5) and np.ptp(one.prefix_scores) > 0.05
    forwards = model.forwards
    observe(model, encodings)
    assert model.forwards == forwards + 1


def test_methods_that_call_it_again_are_right(family):
    model, score, _ = family
    analysis = redviz.analyze(
        model, PROMPT, RESPONSE, ["red", "red_closed", "truncation", "occlusion", "grad_x_input", "ig"]
    )
    encoding = analysis.observation.encoding
    ids, start, stop = encoding.ids.tolist(), encoding.start, encoding.stop
    assert len(ids) > stop  # the template closes the response
    closed = [value(score, ids[:t] + ids[stop:]) for t in range(start, stop + 1)]
    np.testing.assert_allclose(analysis.credits["red_closed"].own, np.diff(closed), atol=1e-4)
    without = [value(score, ids) - value(score, ids[:t] + ids[t + 1 :]) for t in range(start, stop)]
    np.testing.assert_allclose(analysis.credits["occlusion"].values, without, atol=1e-4)
    assert analysis.credits["red"].residual == pytest.approx(0, abs=1e-4)
    layer = model.module.get_input_embeddings()
    whole = layer(torch.tensor([ids])).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(inputs_embeds=whole).sum(), whole)
    expected = (gradient * whole)[0, start:stop].sum(-1).detach().numpy()
    np.testing.assert_allclose(analysis.credits["grad_x_input"].values, expected, atol=1e-4)
    ig = analysis.credits["ig"]
    blank = whole.detach().clone()
    blank[0, start:stop] = baseline_embedding(model, "pad")
    assert ig.reference == pytest.approx(float(score(inputs_embeds=blank).detach()), abs=1e-4)
    assert abs(ig.residual) < 0.05 * max(1.0, abs(ig.total - ig.reference))


def test_coalitions_under_every_operator(family):
    model, score, _ = family
    (seen,) = observe(model, [model.encode(Example(PROMPT, RESPONSE))])
    encoding, players = seen.encoding, players_of(seen, "token")
    ids = encoding.ids
    rows = np.ones((5, len(players)), bool)
    rows[1, [0, 3]], rows[2, 2:], rows[3, -1], rows[4] = False, False, False, False
    stays = np.ones((len(rows), len(ids)), bool)
    stays[:, encoding.start : encoding.stop] = rows
    layer = model.module.get_input_embeddings()
    for operator in ("delete", "pad", "mask"):
        got = value_function(model, seen, players, operator)(torch.as_tensor(rows))
        for one, kept in zip(got.tolist(), stays, strict=True):
            with torch.no_grad():
                if operator == "delete":
                    expected = float(score(ids[kept]))
                elif operator == "pad":
                    whole = layer(torch.as_tensor(ids)[None]).clone()
                    whole[0, ~torch.as_tensor(kept)] = baseline_embedding(model, "pad")
                    expected = float(score(inputs_embeds=whole))
                else:
                    mask = torch.as_tensor(kept)[None].long()
                    places = torch.arange(len(ids))[None]
                    hidden = model.module.base_model(
                        input_ids=torch.as_tensor(ids)[None], attention_mask=mask, position_ids=places
                    ).last_hidden_state[0]
                    expected = float(model.head(hidden[kept].mean(0)))
            assert one == pytest.approx(expected, abs=1e-4), operator


def test_edits_and_pairs(family):
    model, score, _ = family
    before = redviz.analyze(model, PROMPT, RESPONSE, ["red"])
    [edited] = what_if(model, before, [RESPONSE.replace("superb", "dull")])
    ids = edited.after.observation.encoding.ids.tolist()
    assert edited.after.score == pytest.approx(value(score, ids), abs=1e-5)
    forwards = model.forwards
    found = redviz.compare(model, PROMPT, [RESPONSE, RESPONSE[:20]], ["red"])
    assert model.forwards == forwards + 1  # nothing is shared that would have to be thrown away
    other = value(score, model.encode(Example(PROMPT, RESPONSE[:20])).ids.tolist())
    assert found.margin(0, 1) == pytest.approx(before.score - other, abs=1e-4)


def test_attention_is_refused_and_every_other_method_runs(family):
    model, _, _ = family
    for method, said in (
        ("abc", "shows no attention"),
        ("rollout", "mean of all tokens"),
        ("attention_norm", "mean of all tokens"),
    ):
        with pytest.raises(RedvizError, match=said):
            redviz.analyze(model, PROMPT, RESPONSE, [method])
    asked = [n for n, i in METHODS.items() if i.needs == "model" and n not in ("rollout", "attention_norm", "deeplift")]
    analysis = redviz.analyze(model, PROMPT, "Superb , but long .", [n for n in asked if n != "contrastive"])
    assert all(np.isfinite(credit.values).all() for credit in analysis.credits.values())


def test_the_card(family):
    _, _, folder = family
    card = folder / "card.json"
    done = CliRunner().invoke(cli, ["doctor", "--model", str(folder), "--device", "cpu", "--json", str(card)])
    assert done.exit_code == 0, done.output
    rows = {check["name"]: check for check in json.loads(card.read_text())["checks"]}
    assert [name for name, row in rows.items() if row["verdict"] == "red"] == []
    assert rows["prefix_consistency"]["verdict"] == rows["own_score"]["verdict"] == "green"


def test_packed_ends_do_not_mix():
    torch.manual_seed(0)
    shared, ends = torch.randn(1, 6, 3), torch.randn(1, 4 * 2, 3)
    lengths = torch.tensor([[3], [4], [5], [6]])
    got = packed(running_mean(shared)[0], running_mean(ends)[0], lengths, 2)
    for k, n in enumerate((3, 4, 5, 6)):
        expected = torch.cat([shared[0, :n], ends[0, 2 * k : 2 * k + 2]]).mean(0)
        torch.testing.assert_close(got[k], expected)
