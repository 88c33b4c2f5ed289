"""A function as a reward model: any rule that turns a prompt and a response into a number, seen from outside only."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import regex

from redviz.errors import RedvizError
from redviz.models.reading.conversations import turns_of
from redviz.models.reading.encode import LONE_SURROGATE
from redviz.records import Array, Encoding, Example, Observation, Prompt, Source

RewardFunction = Callable[[Prompt, str], Any]

SPLITS = ("word", "line", "character")
LARGEST = float(np.finfo(np.float32).max)
NO_LIMIT = 2**31 - 1


@dataclass
class FunctionModel:
    """Made by :func:`redviz.reward_function`; it has tokens and scores, and nothing inside to look at.

    Attributes
    ----------
    function
        Called as ``function(prompt, response)``.
    split
        What its tokens are: "word", "line" or "character".
    source
        Where its results come from; the fingerprint is a hash of the function's source text.
    forwards
        How often the function has been called, for the engine's counter.
    """

    function: RewardFunction
    name: str
    split: str
    source: Source
    device: str = "cpu"
    max_length: int = NO_LIMIT
    forwards: int = 0
    unit: ClassVar[str] = "token"

    def encode(self, example: Example) -> Encoding:
        """Tokens and offsets of one example: the prompt is one piece, then come the ``T`` tokens of the response.

        Raises
        ------
        RedvizError
            Where the response is empty or holds half a surrogate pair.
        """
        response = example.response
        if not response:
            raise RedvizError("The response is empty; give at least one character to score.")
        rendered = _text_of(example.prompt) + response
        if lone := LONE_SURROGATE.search(rendered):
            raise RedvizError(
                f"The text holds half of a surrogate pair (U+{ord(lone[0]):04X}), which is no character; repair its encoding."
            )
        offsets = split_text(response, self.split)  # T
        pieces = ("(prompt)", *(response[a:b] for a, b in offsets))  # L = T + 1
        ids = np.arange(len(pieces), dtype=np.int64)  # [L]
        return Encoding(ids, 1, len(pieces), len(offsets), offsets, pieces, rendered, example=example)

    def observe(self, encoding: Encoding) -> Observation:
        """Two calls: the score, and ``P_0`` of the empty response; the prefix scores between them are nan.

        Prefix scores of a function cost a call each, so they are made on request, by the method ``truncation``. A function that
        refuses the empty response has no ``P_0``: it is nan, and a notice says why.

        Raises
        ------
        RedvizError
            Where the function gives no number for the response.
        """
        prompt, response = encoding.example.prompt, encoding.example.response
        columns = np.full(len(encoding.ids), np.nan, np.float32)  # [T+1]
        columns[encoding.read] = self.score_texts(prompt, [response])[0]
        try:
            columns[0] = self.score_texts(prompt, [""])[0]
        except RedvizError as problem:
            notice = f"There is no score of the empty response: {problem}"
            encoding = replace(encoding, notices=(*encoding.notices, notice))
        return Observation(encoding, columns, black_box=True)

    def for_prompt(self, encoding: Encoding) -> FunctionModel:
        """Itself: nothing in it depends on the prompt alone."""
        return self

    def observe_all(self, encodings: Sequence[Encoding]) -> list[Observation]:
        """:meth:`observe` for several."""
        return [self.observe(encoding) for encoding in encodings]

    def score_texts(self, prompt: Prompt, responses: Sequence[str]) -> Array:
        """The function's value for each response, ``[B]`` float32; equal texts are asked for once.

        Raises
        ------
        RedvizError
            Where the function raises, or returns anything but a finite real number.
        """
        known = {text: self._score(prompt, text) for text in dict.fromkeys(responses)}
        return np.array([known[text] for text in responses], dtype=np.float32)  # [B]

    def _score(self, prompt: Prompt, response: str) -> float:
        self.forwards += 1
        try:
            value = self.function(prompt, response)
        except RedvizError:  # a sentence already
            raise
        except (Exception, SystemExit) as error:  # whatever a stranger's function may raise
            raise RedvizError(
                f"{self.name} raised {type(error).__name__} ({_short(str(error))}) for the response {_shown(response)}; "
                "make it return a number for every text."
            ) from error
        number = _number(value)
        if abs(number) <= LARGEST:  # nan and inf compare false
            return number
        raise RedvizError(
            f"{self.name} returned {_shown(value)} for the response {_shown(response)}; "
            "make it return a finite number such as 0.5, or True or False."
        )


def reward_function(f: RewardFunction, *, name: str | None = None, split: str = "word") -> FunctionModel:
    r"""Make any function of prompt and response a reward model, for the methods that only ask for scores.

    Outcome rewards are such functions: unit tests of code, an exact-answer check, a regular expression.

    Parameters
    ----------
    f
        Called as ``f(prompt, response)`` with the prompt as it was given (text, or a tuple of messages); returns a finite real
        number, or a bool for 0 and 1. It should be deterministic, and it is asked about shortened responses too.
    name
        What screens and exports call it; the function's own name by default.
    split
        What gets a credit of its own: a "word" with the blanks before it, a "line" with its line break (blank lines join the
        line before), or a "character" as people see it.

    Returns
    -------
    FunctionModel
        With ``score_texts`` ``[B]`` and an observation in which only ``P_0`` and the score are known.

    Raises
    ------
    RedvizError
        Where ``f`` cannot be called or ``split`` is unknown.

    Examples
    --------
    >>> model = reward_function(lambda prompt, response: response.endswith("42"), name="ends with 42")
    >>> model.score_texts("6 times 7?", ["It is 42", "It is 41"]).tolist()
    [1.0, 0.0]
    """
    if not callable(f):
        raise RedvizError(f"{_shown(f)} is no function; give one that is called as f(prompt, response).")
    if split not in SPLITS:
        raise RedvizError(f"split is {_shown(split)}; use one of {', '.join(SPLITS)}.")
    called = name or str(getattr(f, "__name__", type(f).__name__))  # a partial or an object with __call__ has no name
    return FunctionModel(f, called, split, Source(called, fingerprint=_fingerprint(f, called, split), device="cpu"))


def split_text(response: str, split: str) -> tuple[tuple[int, int], ...]:
    r"""The spans of a text's words, lines or characters; they tile it without a gap.

    >>> split_text("One  two\n", "word")
    ((0, 3), (3, 9))
    """
    if split == "character":
        return tuple(match.span() for match in regex.finditer(r"\X", response))
    spans = _lines(response) if split == "line" else _words(response)
    spans[-1] = (spans[-1][0], len(response))
    return tuple(spans)


def _words(text: str) -> list[tuple[int, int]]:
    # without the trailing blanks: over a long run of them the expression would take time that grows with its square
    return [match.span() for match in re.finditer(r"\s*\S+", text.rstrip())] or [(0, len(text))]


def _lines(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    open_end = False  # the last span holds only blanks so far
    for match in re.finditer(r"[^\n]*\n|[^\n]+", text):
        blank = not match[0].strip()
        if spans and (blank or open_end):
            spans[-1] = (spans[-1][0], match.end())
            open_end = open_end and blank
        else:
            spans.append(match.span())
            open_end = blank
    return spans


def _text_of(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    turns, own = turns_of(prompt)
    text = "".join(f"{message['role']}: {message['content']}\n" for message in turns)
    return f"{text}{own['role']}: {own['content']}" if own["content"] else text


def _fingerprint(f: RewardFunction, *settings: str) -> str:
    """A hash of the function's text, its module's text (where what it calls is likely to stand), defaults and closure."""
    texts = [*settings, _source(f) or repr(f), _source(inspect.getmodule(f))]
    if inspect.isfunction(f):
        try:
            captured = [cell.cell_contents for cell in f.__closure__ or ()]
            texts.append(repr((f.__defaults__, f.__kwdefaults__, captured)))
        except Exception:  # a name that is not bound yet, or a stranger's __repr__
            texts.append(repr(f))
    return hashlib.sha256("\0".join(texts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # a builtin, a partial, what was typed at a prompt
        return ""


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, Real | np.bool_) else float("nan")
    except OverflowError:  # a whole number or a fraction beyond any float
        return float("inf")


def _shown(value: Any) -> str:
    """A value as it may stand in a sentence."""
    try:
        return _short(repr(value))
    except Exception:  # a whole number of thousands of digits, or a stranger's __repr__
        return f"a {type(value).__name__} that cannot be shown"


def _short(text: str) -> str:
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else line[:60] + "…"
