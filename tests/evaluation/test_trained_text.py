"""Which text was it trained on: a model is trained on one text, opened in another, and the right one is found."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
import transformers
from tokenizers import AddedToken

import redviz
from redviz.cli.main import main
from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.conformance.text_cost import CHATML_OPEN, candidates, cost, readings_of_pairs
from redviz.evaluation.conformance.trained_text import trained_text
from redviz.models.loading.load import with_template
from redviz.records import Example

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STEPS, BATCH = 40, 16
GOOD, BAD = ("superb", "moving", "funny", "glorious", "tender"), ("dull", "tedious", "old", "thin", "loud")
NOUNS = ("film", "lead", "plot", "street", "camera", "music", "story", "scene")


def rows(count: int, seed: int) -> "list[dict[str, str]]":
    """Pairs of the same words: what comes last makes an answer good."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        noun, good, bad = (draw.choice(words) for words in (NOUNS, GOOD, BAD))
        answers = {"chosen": f"first {bad}, then {good}", "rejected": f"first {good}, then {bad}"}
        made.append({"prompt": f"How is the {noun}?", **answers})
    return made


def pairs(given: "list[dict[str, str]]") -> "list[tuple[Example, Example]]":
    return [tuple(Example(row["prompt"], row[side]) for side in ("chosen", "rejected")) for row in given]


def question(row: "dict[str, str]", side: str) -> str:
    return f"Question: {row['prompt']}\n\nAnswer: {row[side]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama trained for 40 steps on Question and Answer, saved with a tokenizer that writes ChatML."""
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in ("<|im_start|>", "<|im_end|>")])
    tokenizer.eos_token, tokenizer.chat_template = "<|im_end|>", CHATML
    torch.manual_seed(0)
    module = transformers.LlamaForSequenceClassification(tiny.config("Llama", tokenizer))
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    data = rows(STEPS * BATCH, seed=1)
    for step in range(STEPS):
        batch = data[step * BATCH : (step + 1) * BATCH]
        texts = [question(row, side) for row in batch for side in ("chosen", "rejected")]
        given = tokenizer(texts, return_tensors="pt", padding=True)
        scores = module(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits[:, 0]  # [2 x pair]
        loss = -torch.nn.functional.logsigmoid(scores[::2] - scores[1::2]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("trained")
    module.eval().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@torch.no_grad()
def own_margins(folder, texts: "list[str]") -> np.ndarray:
    """By Transformers alone, text by text: ``[pair]``."""
    module = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"] for text in texts]
    scores = np.array([float(module(input_ids=one).logits[0, 0]) for one in ids])
    return scores[::2] - scores[1::2]


def test_the_text_it_was_trained_on_is_found_and_the_card_flags_the_other(folder):
    held_out = rows(40, seed=2)
    model = redviz.load_reward_model(str(folder), device="cpu")
    told = []
    report = trained_text(model, pairs(held_out), lambda done, total: told.append((done, total)))
    assert report.best.template == "qa" and report.in_use == report.tried[0].template == "own"
    assert report.check.verdict == "amber" and "more than chance" in report.check.figure
    assert report.check.remedy.startswith("Load it with --template qa, ")
    those = [(row, side) for row in held_out for side in ("chosen", "rejected")]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    chat = lambda row, side: tokenizer.apply_chat_template(  # noqa: E731
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}], tokenize=False
    )
    for text, writes in ((report.best, question), (report.tried[0], chat)):
        margins = own_margins(folder, [writes(*each) for each in those])
        assert text.accuracy.value == (margins > 0).mean() and text.accuracy.count == 40
        assert text.margin.value == pytest.approx(margins.mean(), abs=1e-4)
    gain = report.best.accuracy_gain
    assert gain.value == pytest.approx(report.best.accuracy.value - report.tried[0].accuracy.value)
    assert 0 < gain.low < gain.value < gain.high + 1e-9
    assert told == sorted(told) and told[-1] == (told[0][1], told[0][1])
    assert redviz.check_model(model)["obvious_pairs"].verdict == "amber"
    again = trained_text(with_template(model, "qa"), pairs(held_out))
    assert again.in_use == "qa" and again.best.template == "qa" and again.check.verdict == "green"


def test_doctor_tells_it_on_a_data_set(folder, tmp_path, capsys):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows(24, seed=3))))
    asks = ["doctor", "--model", str(folder), "--device", "cpu", "--dataset", str(path)]
    assert main([*asks, "--json", str(tmp_path / "card.json")]) == 0
    out = capsys.readouterr().out
    assert "Which text was it trained on? 24 pairs of pairs.jsonl" in out and "→ Load it with --template qa" in out
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["verdict"] == "amber" and card["checks"][-1]["name"] == "trained_text"
    named = [text["template"] for text in card["texts"]["tried"]]
    assert named[0] == "own" and {"qa", "qa+eos", "hh", "plain+eos", CHATML_OPEN} <= set(named)
    assert "chatml" not in named  # the tokenizer's own: the same text is not tried twice


def test_all_texts_are_tried_on_the_first_pairs_and_the_best_on_all():
    many = pairs(rows(26, seed=4))
    report = trained_text(tiny.model("Llama", "none"), many)
    counts = [text.accuracy.count for text in report.tried]
    assert counts[0] == 26 and counts.count(26) == 6 and set(counts) == {20, 26}
    assert counts == sorted(counts, reverse=True) and report.count == 26
    assert not any(text.template == "plain" for text in report.tried)  # without a template, its own


def test_what_cannot_be_tried_says_why_and_nothing_runs_on_once_cancelled():
    loaded = tiny.model()
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    few = pairs(rows(3, seed=5))
    report = trained_text(replace(loaded, tokenizer=tokenizer), few)
    refused = {text.template: text.refused for text in report.tried if text.refused}
    assert set(refused) == {name for name in candidates("own") if name.endswith("+eos")}
    assert all("has no EOS token" in why for why in refused.values())

    def cancel(done: int, total: int) -> None:
        raise Cancelled("stop")

    before = loaded.forwards
    with pytest.raises(Cancelled):
        trained_text(loaded, few, cancel)
    assert loaded.forwards == before
    with pytest.raises(RedvizError, match="There are no pairs"):
        trained_text(loaded, [])


def test_a_text_in_use_that_reads_no_pair_gives_way_to_one_that_does():
    turns = (
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "Why?"},
    )
    few = [(Example(turns, "Because."), Example(turns, "No."))] * 3
    report = trained_text(tiny.model("Llama", "none"), few)
    assert report.tried[0].accuracy.count == 0 and "several turns" in report.tried[0].refused
    assert report.check.verdict == "amber" and "scores none of 3 pairs" in report.check.figure
    assert report.best.accuracy.count == 3 and report.best.template in report.check.remedy


def test_the_cost_is_what_a_model_of_that_size_takes():
    found = cost("own", 1000, 400.0, 1e8, "cpu")
    assert found.pairs == 200 and found.responses == 2 * readings_of_pairs(found.texts, 200)
    assert found.responses == 2 * (20 * found.texts + 180 * 6)
    assert found.seconds == pytest.approx(found.responses * 120 * 2e8 / 5e10)
    assert "responses to score, about" in found.sentence
    assert "about" not in cost("own", 10, 400.0, float("nan"), "cpu").sentence
