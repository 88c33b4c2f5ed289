"""NaN and infinity are results at no door: one token's embedding is NaN, so only a text with that token has no score."""

import shutil
from functools import cache

import numpy as np
import pytest
import tiny
import tiny_both_ways
import tiny_lm
import tiny_pairs
import torch

import redviz
from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.kinds.value_head import critic_values
from redviz.models.running.closed import closed_scores
from redviz.records import Example

PROMPT, GOOD, BAD = "How was it?", "A superb film.", "A 9 film."


def broken(model, parts=None):
    """The model, with NaN for the token 9 (and, of a function of text, in all that it is made of)."""
    for part in parts or [model]:
        table = getattr(part.module, "base_model", part.module).get_input_embeddings()
        with torch.no_grad():
            table.weight[part.tokenizer.convert_tokens_to_ids("9")] = torch.nan
    return model


@cache
def reward(architecture="Llama"):
    make = tiny_both_ways if architecture == "Bert" else tiny
    return broken(redviz.load_reward_model(str(make.checkpoint(architecture)), device="cpu"))


@cache
def policies():
    both = [redviz.load_policy(str(tiny_lm.checkpoint(seed=seed)), device="cpu") for seed in (1, 2)]
    return broken(both, both[:1])


def implicit():
    name = f"dpo:{tiny_lm.checkpoint(seed=1)}|{tiny_lm.checkpoint(seed=2)}"
    model = redviz.load_reward_model(name, device="cpu")
    return broken(model, [model.policy])


def tokens(tmp_path):
    folder = shutil.copytree(tiny.checkpoint(), tmp_path / "tokens")
    options = tiny.config("Llama", tiny.tokenizer(), labels=1)
    tiny.transformers.LlamaForTokenClassification(options).save_pretrained(folder)
    return broken(redviz.load_reward_model(str(folder), device="cpu"))


def steps(tmp_path):
    folder = shutil.copytree(tiny.checkpoint(), tmp_path / "steps")
    options = tiny.config("Llama", tiny.tokenizer(), labels=2)
    tiny.transformers.LlamaForTokenClassification(options).save_pretrained(folder)
    return broken(redviz.load_reward_model(str(folder), device="cpu"))


def pairs():
    return broken(redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu"))


def ids_and_masks(model):
    encoding = model.encode(Example(PROMPT, BAD))
    mask = np.zeros((1, len(encoding.ids)), np.int64)
    mask[:, encoding.start : encoding.stop] = 1
    return encoding.ids[None], np.ones_like(mask), mask


DOORS = {
    "analyze": lambda _: redviz.analyze(reward(), PROMPT, BAD, ["sparse"]),
    "analyze both ways": lambda _: redviz.analyze(reward("Bert"), PROMPT, BAD, ["sparse"]),
    "compare": lambda _: redviz.compare(reward(), PROMPT, [GOOD, BAD], ["red"]),
    "what_if": lambda _: redviz.what_if(reward(), redviz.analyze(reward(), PROMPT, GOOD, ["red"]), [BAD])[0].after,
    "closed": lambda _: redviz.analyze(reward(), PROMPT, BAD, ["red_closed"]),
    "token_rewards": lambda _: redviz.token_rewards(reward(), *ids_and_masks(reward())),
    "critic": lambda _: critic_values(reward(), reward().encode(Example(PROMPT, BAD))),
    "log_probs": lambda _: redviz.analyze(
        tiny.model(), PROMPT, BAD, ["kl"], policy=policies()[0], reference=policies()[1]
    ),
    "implicit": lambda _: redviz.analyze(implicit(), PROMPT, BAD, ["red"]),
    "tokens": lambda tmp: redviz.analyze(tokens(tmp), PROMPT, BAD, ["red"]),
    "steps": lambda tmp: redviz.analyze(steps(tmp), PROMPT, BAD, ["red"]),
    "pairs": lambda _: redviz.compare(pairs(), PROMPT, [GOOD, BAD]),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_nan_through(door, tmp_path):
    with pytest.raises(RedvizError, match="gives NaN as .*which is no number; .*again"):
        found = DOORS[door](tmp_path)
        raise RedvizError(getattr(found, "error", None) or f"{door} lets it through")


def test_credits_are_checked_though_the_score_is_a_number():
    """The pad token's embedding is NaN: no text of this model holds it, and integrated gradients start there."""
    model = redviz.load_reward_model(str(tiny.checkpoint()), device="cpu")
    with torch.no_grad():
        model.module.get_input_embeddings().weight[model.tokenizer.pad_token_id] = torch.nan
    analysis = redviz.analyze(model, PROMPT, GOOD, ["red"])
    assert np.isfinite(analysis.credits["red"].values).all()
    with pytest.raises(RedvizError, match="ig gives NaN or infinity here"):
        credit_of(analysis.observation, recipes(["ig"])["ig"], {"model": model})


def test_the_remedy_is_that_of_the_dtype(tmp_path):
    folder = shutil.copytree(tiny.checkpoint(), tmp_path / "model")
    weights = tiny_lm.load_file(folder / "model.safetensors")
    tiny_lm.change_weights(
        folder, **{"model.layers.1.mlp.down_proj.weight": weights["model.layers.1.mlp.down_proj.weight"] * 1e5}
    )
    assert np.isfinite(redviz.analyze(redviz.load_reward_model(str(folder), device="cpu"), PROMPT, GOOD, ["red"]).score)
    half = redviz.load_reward_model(str(folder), device="cpu", dtype="float16")
    with pytest.raises(RedvizError, match="float16 ends at 65504; load the model with --dtype bfloat16 or float32"):
        redviz.analyze(half, PROMPT, GOOD, ["red"])


def test_a_model_that_is_nan_everywhere_says_so_though_nothing_is_compared():
    model = redviz.load_reward_model(str(tiny.checkpoint()), device="cpu")
    with torch.no_grad():
        model.module.model.norm.weight.fill_(torch.inf)
    assert redviz.check_model(model)["own_score"].verdict == "red"
    with pytest.raises(RedvizError):
        closed_scores(model, model.encode(Example(PROMPT, GOOD)))
