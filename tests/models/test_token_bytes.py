"""Bytes of tokens: the same text from any tokenizer, cut at the same bytes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from redviz.models.reading.token_bytes import character_offsets, encoded_ends, text_and_ends, token_bytes
from redviz.records import Encoding, Example
from tests import tiny

TEXTS = [
    "plain words",
    " leading blank",
    "né 🎬 fin",
    "👩‍👩‍👧 one family",
    "tab\tand\nline  two blanks",
    "日本語 mixed",
]


def sentencepiece() -> PreTrainedTokenizerFast:
    """Blanks as ▁ and unknown characters byte by byte, as Llama 2 and Gemma write them."""
    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.train_from_iterator(tiny.TEXTS, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    trained = json.loads(core.to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *trained["vocab"]]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    merges = [tuple(pair) for pair in trained["merges"]]
    core.model = models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>")
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        clean_up_tokenization_spaces=False,
    )


def lowering() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer, whose pieces do not spell the text they decode to."""
    core = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=50))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.WordPiece()
    core.train_from_iterator(
        tiny.TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[PAD]"], show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]")


@pytest.mark.parametrize("make", [tiny.tokenizer, sentencepiece])
@pytest.mark.parametrize("text", TEXTS)
def test_every_token_ends_at_its_own_byte(make, text):
    tok = make()
    ids = tok(text, add_special_tokens=False)["input_ids"]
    found, ends = text_and_ends(tok, ids)
    assert found == text.removeprefix(" ") if make is sentencepiece else found == text
    assert ends[-1] == len(found.encode())
    spelled = b"".join(token_bytes(tok, ids)).removeprefix(b" " if make is sentencepiece else b"")
    for i, end in enumerate(ends):  # bytes, not characters: an emoji has four ends
        assert spelled[:end] == b"".join(token_bytes(tok, ids[: i + 1])).removeprefix(
            b" " if make is sentencepiece else b""
        )


def test_an_emoji_of_four_tokens_has_four_ends():
    tok = tiny.tokenizer()
    ids = tok("a🎬", add_special_tokens=False)["input_ids"]
    assert text_and_ends(tok, ids)[1].tolist() == [1, 2, 3, 4, 5]
    assert character_offsets("a🎬", np.array([1, 2, 3, 4, 5])) == ((0, 1), (1, 2), (1, 2), (1, 2), (1, 2))


def test_a_response_cut_inside_a_character_ends_with_the_replacement_character():
    tok = tiny.tokenizer()
    ids = tok("ok 🎬", add_special_tokens=False)["input_ids"][:-1]
    text, ends = text_and_ends(tok, ids)
    assert text == "ok \N{REPLACEMENT CHARACTER}"
    assert ends[-1] == len(text.encode())


def test_a_tokenizer_that_spells_otherwise_is_asked_to_decode():
    tok = lowering()
    ids = tok("The film, superb and funny.", add_special_tokens=False)["input_ids"]
    text, ends = text_and_ends(tok, ids)
    assert ends[-1] == len(text.encode())
    assert all(a <= b for a, b in zip(ends, ends[1:], strict=False))
    assert text[: ends[1]] == tok.decode(ids[:2])


def test_offsets_inside_a_character_become_bytes():
    tok = tiny.tokenizer()
    batch = tok("a🎬b", add_special_tokens=False, return_offsets_mapping=True)
    ids = np.array([0, *batch["input_ids"]])
    encoding = Encoding(
        ids, 1, len(ids), len(ids) - 1, tuple(batch["offset_mapping"]), (), "", example=Example("", "a🎬b")
    )
    assert encoded_ends(tok, encoding).tolist() == [1, 2, 3, 4, 5, 6]


@given(st.lists(st.integers(min_value=5, max_value=299), min_size=1, max_size=30))
@settings(max_examples=40)
def test_any_sampled_ids_have_ends_that_cover_their_text(ids):
    tok = tiny.tokenizer()
    text, ends = text_and_ends(tok, ids)
    assert text == tok.decode(ids)
    assert ends[-1] == len(text.encode())
    assert (np.diff(ends) >= 0).all()
