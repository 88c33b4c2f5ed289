"""The models inside redviz: small, whole, and doing what their cards say."""

import itertools

import numpy as np
import pytest

import redviz
from redviz.models.loading.files import EMBEDDED, embedded_models, embedded_reward_models

MOST_BYTES = 8_000_000
PAIRS = [
    ("A superb, moving film with wonderful performances.", "A dull, tedious mess with terrible performances."),
    ("I loved every minute of it.", "I hated every minute of it."),
    ("Funny, warm and beautifully shot.", "Unfunny, cold and badly shot."),
    ("One of the best films of the year!", "One of the worst films of the year!"),
    ("It is charming and smart.", "It is boring and stupid."),
    ("not a bad film", "a bad film"),
]
WORDINGS = [
    "Write a short review of the film.",
    "What did you think of it?",
    "Review, please!",
    "Please tell me in a few words how the movie was.",
]


@pytest.fixture(scope="module")
def model(sentiment):
    return sentiment


def scores(model, responses, prompt=WORDINGS[0]):
    examples = [{"prompt": prompt, "response": response} for response in responses]
    return np.array([a.score for a in redviz.analyze_batch(model, examples, methods=["red"])])


def test_all_ship_within_their_size_with_a_card():
    assert set(embedded_models()) == {"embedded:sentiment", "embedded:writer", "embedded:writer-dpo"}
    assert embedded_reward_models() == ("embedded:sentiment",)
    for name in ("sentiment", "writer", "writer-dpo"):
        folder = EMBEDDED / name
        assert (folder / "model.safetensors").stat().st_size <= MOST_BYTES
        assert not list(folder.glob("*.bin"))
        assert "SST" in (folder / "card.md").read_text()


def test_positive_above_negative(model):
    better, worse = scores(model, [a for a, _ in PAIRS]), scores(model, [b for _, b in PAIRS])
    assert (better > worse).all()
    right = np.concatenate([better > 0, worse < 0])
    assert right.mean() > 0.8  # its card: about four in five held-out sentences fall on the right side of 0


def test_neutral_text_and_the_empty_response_are_near_zero(model):
    neutral = scores(model, ["The film opens on a street.", "It runs for two hours.", "The director was born in 1961."])
    spread = np.abs(scores(model, [text for pair in PAIRS for text in pair])).mean()
    bases = [redviz.analyze(model, wording, "ok", ["red"]).base for wording in WORDINGS]
    assert np.abs(neutral).mean() < 0.5 * spread
    assert np.abs(bases).max() < 0.35 * spread


def test_the_wording_of_the_request_hardly_matters(model):
    texts = [text for pair in PAIRS for text in pair]
    by_wording = np.stack([scores(model, texts, wording) for wording in WORDINGS])
    assert by_wording.std(0).mean() < 0.25 * by_wording.std(1).mean()


def test_credits_fall_on_the_words_that_say_it(model):
    response = "The film is superb, but the last act is a tedious mess."
    analysis = redviz.analyze(model, WORDINGS[0], response, ["red"])
    credit, at = analysis.credits["red"].values, response.index

    def of(word):
        start, end = at(word), at(word) + len(word)
        return sum(float(v) for v, (a, b) in zip(credit, analysis.offsets, strict=True) if a < end and b > start)

    assert of("superb") > 0 > of("tedious") and of("superb") > of("film")


def test_a_closing_token_follows_and_long_text_is_announced(model):
    encoding = model.encode(redviz.Example("Hi", "Fine."))
    assert encoding.read == len(encoding.ids) - 1 >= encoding.stop
    assert model.max_length == 8192 and model.trained_length == 2048
    long = model.encode(redviz.Example("Hi", "fine " * 2100))
    assert any("trained on lengths up to 2048" in notice for notice in long.notices)


def test_any_text_survives_the_tokenizer(model):
    for text in ("naïve café", "👨‍👩‍👧 \t\n  x", "مرحبا", "映画", "\u200b\x00\x7f"):
        assert model.tokenizer.decode(model.tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_writer_shares_the_tokenizer_and_ends_its_reviews():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = EMBEDDED / "writer"
    assert (folder / "tokenizer.json").read_bytes() == (EMBEDDED / "sentiment" / "tokenizer.json").read_bytes()
    tokenizer, writer = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32"),
    )
    chat = [{"role": "user", "content": WORDINGS[0]}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    torch.manual_seed(0)
    written = writer.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=True, num_return_sequences=8, max_new_tokens=120
    )
    texts = tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    ended = [tokenizer.eos_token_id in row[ids.shape[1] :] for row in written.tolist()]
    assert sum(ended) >= 4
    words = list(itertools.chain.from_iterable(text.lower().split() for text in texts))
    assert {"the", "a", "film", "movie", "is", "and"} & set(words)
