"""Tokens of several tokenizers, matched by the characters of the response that they stand for."""

from dataclasses import replace

import pytest
import tiny_lm

from redviz.errors import RedvizError
from redviz.models.reading.alignment import check_same_tokens, tokens_read
from redviz.records import Example

EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")


def test_tokens_of_another_tokenizer_are_counted_by_the_characters_they_end_at():
    words = [(0, 3), (3, 8), (8, 12)]
    assert tokens_read(words, words).tolist() == [0, 1, 2, 3]
    assert tokens_read(words, [(0, 1), (1, 3), (3, 6), (6, 12)]).tolist() == [0, 0, 1, 1, 3]
    assert tokens_read(words, [(0, 12)]).tolist() == [0, 3]
    emoji = [(0, 1), (0, 1), (0, 1), (1, 2)]  # three tokens of one character
    assert tokens_read(emoji, emoji).tolist() == [0, 1, 2, 3, 4]
    assert tokens_read(emoji, [(0, 1), (1, 2)]).tolist() == [0, 3, 4]


def test_other_tokens_than_the_reference_or_the_reward_model_are_refused():
    encoding = tiny_lm.policy().encode(EXAMPLE)
    ids = encoding.ids.copy()
    ids[encoding.start + 1] += 1
    names = ("the policy", "the reference")
    check_same_tokens(encoding, encoding, encoding, names)
    with pytest.raises(RedvizError, match="the policy and the reference cut the response into different tokens"):
        check_same_tokens(encoding, replace(encoding, ids=ids), encoding, names)
    moved = (*encoding.offsets[:-1], (0, 1))
    with pytest.raises(RedvizError, match="the reward model's family"):
        check_same_tokens(encoding, encoding, replace(encoding, offsets=moved), names)
    shorter = replace(encoding, offsets=encoding.offsets[:-1])
    with pytest.raises(RedvizError, match="the reward model's family"):
        check_same_tokens(encoding, encoding, shorter, names)
    check_same_tokens(encoding, encoding, replace(shorter, truncated=1), names)
