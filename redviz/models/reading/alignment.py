"""Match the tokens of two tokenizers by the characters of the response that they stand for."""

from collections.abc import Sequence

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array, Encoding

Offsets = Sequence[tuple[int, int]]


def tokens_read(other: Offsets, offsets: Offsets) -> Array:
    """How many tokens of another tokenizer are whole before the first of ours and after each of them: ``[T+1]`` int64.

    A prefix score of the other model may be read after that many of its tokens. Where our token ends inside one of theirs, the
    other model has seen no more than before.

    >>> tokens_read([(0, 4), (4, 9)], [(0, 2), (2, 4), (4, 9)]).tolist()
    [0, 0, 1, 2]
    """
    if tuple(other) == tuple(offsets):  # several tokens of one character share its end, so ends alone would merge them
        return np.arange(len(offsets) + 1)
    ends = np.maximum.accumulate([end for _, end in other])
    read = np.searchsorted(ends, [end for _, end in offsets], side="right")
    return np.maximum.accumulate(np.array([0, *read], dtype=np.int64))


def check_same_tokens(policy: Encoding, reference: Encoding, encoding: Encoding, names: tuple[str, str]) -> None:
    """Refuse a policy, a reference and a reward model that cut the response into different tokens.

    Policy and reference must give the response the same ids; the reward model's tokens must cover the same characters as theirs.
    Where the reward model's context cut the response, its tokens must be the first of theirs.

    Parameters
    ----------
    policy, reference
        The example under the two policies.
    encoding
        The example under the reward model.
    names
        The policy's and the reference's.
    """
    length = len(encoding.offsets)
    for own, name in zip((policy, reference), names, strict=True):
        if own.truncated and (len(own.offsets) < length or not encoding.truncated):
            raise RedvizError(
                f"{name} can read only {len(own.offsets)} of the response's tokens; give a policy with a longer context, "
                "or a shorter response."
            )
    kept = slice(length) if encoding.truncated else slice(None)
    own_ids, reference_ids = (e.ids[e.start : e.stop][kept] for e in (policy, reference))
    if not np.array_equal(own_ids, reference_ids):
        raise RedvizError(
            f"The tokenizers of {names[0]} and {names[1]} cut the response into different tokens; "
            "give a policy and the reference that it was trained from."
        )
    if policy.offsets[kept] != encoding.offsets and len(own_ids) == length and policy.notices != encoding.notices:
        raise RedvizError(
            f"The chat templates of {names[0]} and of the reward model write the response differently (one trims or rewrites it); "
            "give a response without blanks around it, or a policy with the reward model's template."
        )
    if policy.offsets[kept] != encoding.offsets:
        raise RedvizError(
            f"The tokenizer of {names[0]} cuts the response into {len(policy.offsets)} tokens, and the reward model's into "
            f"{length} at other characters; give a policy of the reward model's family, one that shares its tokenizer."
        )
