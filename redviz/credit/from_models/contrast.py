"""Contrastive prompts: T-REG's token rewards, from one language model under two instructions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from redviz.credit.choices import BETTER, WORSE
from redviz.models.kinds.policy import Policy, closes, token_log_probs
from redviz.models.reading.alignment import check_same_tokens
from redviz.models.reading.conversations import messages_of
from redviz.models.running.budgets import Progress
from redviz.records import Array, Credit, Observation, Prompt


def treg(observation: Observation, reference: Policy, *, progress: Progress | None = None) -> Credit:
    """T-REG's token reward: whether an instruction to do better makes the token likelier (Zhou et al. 2024, arXiv 2412.02685).

    ``sigmoid(log pi(y_t | x_better, y_<t) - log pi(y_t | x_worse, y_<t)) - 0.5``, the response unchanged under both prompts. The
    instructions are redviz's own (``meta["better"]``, ``meta["worse"]``) and follow the last user turn.

    Parameters
    ----------
    reference
        The language model that judges; the paper takes the reference of its DPO training.
    observation
        The reward model's forward pass; only its tokens matter.
    progress
        Called with (tokens done, tokens under both prompts); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``, each in (-0.5, 0.5) but for the last, which holds the end-of-turn token's share too (``closing``); promises no sum.

    Raises
    ------
    RedvizError
        Where the response becomes other tokens than the reward model's.
    """
    return contrast(observation, reference, BETTER, WORSE, progress)


def contrast(
    observation: Observation, reference: Policy, better: str, worse: str, progress: Progress | None = None
) -> Credit:
    """:func:`treg` under any two instructions."""
    encoding = observation.encoding
    example = encoding.example
    better_one, worse_one = asked = [
        reference.encode(replace(example, prompt=with_instruction(example.prompt, text))) for text in (better, worse)
    ]
    names = (f"{reference.name} under the better prompt", f"{reference.name} under the worse prompt")
    check_same_tokens(better_one, worse_one, encoding, names)
    length = encoding.stop - encoding.start
    closing = not encoding.truncated and all(closes(reference, e) for e in asked)

    def half(number: int) -> Progress | None:
        return None if progress is None else lambda done, total: progress(number * total + done, 2 * total)

    found = [token_log_probs(reference, e, closing=closing, progress=half(k)) for k, e in enumerate(asked)]
    rewards = treg_rewards(*found)  # [T], and the end-of-turn token's
    values = rewards[:length].copy()  # [T]
    end = float(rewards[-1]) if closing else 0.0
    values[-1] += end
    meta = {"better": better, "worse": worse, "reference": reference.name}
    return Credit(values.astype(np.float32), None, None, end, meta)


def treg_rewards(better: Array, worse: Array) -> Array:
    """``sigmoid(better - worse) - 0.5`` of two arrays of log-probabilities, ``[.., T]`` float64.

    >>> treg_rewards(np.array([-1.0, -0.5]), np.array([-1.5, -0.5])).round(4).tolist()
    [0.1225, 0.0]
    """
    difference = np.asarray(better, np.float64) - np.asarray(worse, np.float64)
    rewards: Array = 0.5 * np.tanh(0.5 * difference)  # the same, without overflow
    return rewards


def with_instruction(prompt: Prompt, instruction: str) -> Prompt:
    r"""The prompt with an instruction after its last user turn's text; a turn of its own where there is no user turn.

    >>> with_instruction("Write.", "Be brief.")
    'Write.\n\nBe brief.'
    """
    if isinstance(prompt, str):
        return f"{prompt}\n\n{instruction}"
    messages = messages_of(prompt)
    for message in reversed(messages):
        if message["role"] == "user":
            longer = message["content"] + f"\n\n{instruction}"
            before, said, after = (message.pop("written", None) or "").rpartition(message["content"] or "\0")
            if said:
                message["written"] = before + longer + after
            message["content"] = longer
            return tuple(messages)
    return (*messages, {"role": "user", "content": instruction})
