"""Two answers, and beside them who is better: a number, a letter, a word or two scores. A tie stays a tie."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from redviz.data.sets.candidates import Answer, prompt_of_row, tied
from redviz.data.sets.conversations import conversation_of, turn_of, unwritten
from redviz.data.sets.spelling import list_of
from redviz.data.sets.values import BadValue, Row, kind_of, number_of, text_of, verdict_of

FIRST, SECOND, TIE = 1, 2, 0

NOUNS = ("response", "answer", "output", "completion", "generation", "summary")
LETTERS = (("_a", "_b"), ("_A", "_B"), ("A", "B"))
FROM_0, FROM_1 = (("_0", "_1"),), (("_1", "_2"), ("1", "2"))
PAIRS = {  # names of the two answers -> the number by which a verdict means the first, where they are numbered
    (noun + one, noun + two): first
    for first, endings in ((None, LETTERS), (0, FROM_0), (1, FROM_1))
    for noun, (one, two) in product(NOUNS, endings)
}
FIRSTS = tuple(dict.fromkeys(one for one, _ in sorted(PAIRS, key=lambda pair: PAIRS[pair] == 1)))
SECONDS = tuple(dict.fromkeys(two for _, two in sorted(PAIRS, key=lambda pair: PAIRS[pair] == 0)))
SCORES = (("score_0", "score_1"), ("score_a", "score_b"), ("score_A", "score_B"), ("score_1", "score_2"))
SIGNED = ("overall_preference", "preference_strength")  # below zero the first is better (HelpSteer)
STRONGEST = 10  # HelpSteer goes to 3; -100 stands where neither answer can be judged
STATED = (
    *SIGNED, "better_response_id", "winner", "preference", "preferred", "verdict", "choice", "better", "better_response",
    "preferred_response", "label", "labels", "chosen",
)  # fmt: skip
NAMES = ("", *NOUNS, "model", "assistant", "option")
WORDS = {  # as _plain leaves them
    **dict.fromkeys((*(f"{name}a" for name in NAMES), "a>b", "a>>b", "first"), FIRST),
    **dict.fromkeys((*(f"{name}b" for name in NAMES), "b>a", "b>>a", "second"), SECOND),
    **dict.fromkeys(
        (
            "tie",
            "tied",
            "c",
            "a=b",
            "b=a",
            "tiebothbad",
            "bothbad",
            "bothgood",
            "both",
            "neither",
            "equal",
            "same",
            "draw",
        ),
        TIE,
    ),
}


def has_two(row: Row) -> bool:
    """Whether the first and the second answer found have names that belong together, and none was picked as rejected."""
    return row.get("rejected") is None and any(all(row.get(name) is not None for name in names) for names in PAIRS)


def two_and_verdict(row: Row, prompt: str, first: str, second: str, verdict: str) -> list[Answer]:
    """A verdict in a column of its own (HelpSteer3, PKU-SafeRLHF, JudgeBench, …)."""
    names = _names(row, first, second)
    return decided(_two(row, prompt, *names), better(row, verdict, names))


def two_and_scores(row: Row, prompt: str, first: str, second: str, *scores: str) -> list[Answer]:
    """A score for each; the higher is better (WebGPT)."""
    names = _names(row, first, second)
    if scores not in SCORES:
        raise BadValue(f"one of the two answers has no score beside {scores[0]}")
    return decided(_two(row, prompt, *names), *_by_scores(row, *scores))


def shp(row: Row, prompt: str, first: str, second: str, labels: str) -> list[Answer]:
    """Stanford's human preferences: 1 means A, 0 means B; the scores are votes."""
    if (verdict := verdict_of(row[labels])) is None:
        raise BadValue(f"{labels} is {str(row[labels])[:40]!r}, expected 1 for A or 0 for B")
    ratings = [number_of(row.get(name)) for name in ("score_A", "score_B")]
    return decided(_two(row, prompt, first, second), FIRST if verdict else SECOND, ratings)


def summaries(row: Row, info: str, listed: str, choice: str) -> list[Answer]:
    """Two summaries of a post, in the words that OpenAI's models were asked in (summarize_from_feedback)."""
    about, two = row[info], list_of(row[listed], listed)
    if not isinstance(about, dict) or len(two) != 2 or not all(isinstance(summary, dict) for summary in two):
        raise BadValue(f"{info} and {listed} are not a post and two summaries of it")
    body = next((name for name in ("post", "article") if about.get(name)), None)
    if body is None:
        raise BadValue(f"{info} has neither a post nor an article")
    heads = {"SUBREDDIT": "r/{}", "TITLE": "{}"}
    parts = [f"{head}: {form.format(about[head.lower()])}" for head, form in heads.items() if about.get(head.lower())]
    text = text_of(about[body], f"{body} of {info}")
    asked = "\n\n".join([*parts, f"{body.upper()}: {text}", "TL;DR:"]) if parts else text
    answers = [Answer("", asked, text_of(summary.get("text"), "text of a summary")) for summary in two]
    if number_of(row[choice]) not in (0, 1):
        raise BadValue(f"{choice} is {str(row[choice])[:40]!r}, expected 0 or 1")
    return decided(answers, SECOND if number_of(row[choice]) else FIRST)


def battle(row: Row, first: str, second: str, winner: str) -> list[Answer]:
    """Two chats with the same questions, as far as the turn that was judged (Chatbot Arena, MT-bench)."""
    turn = number_of(row.get("turn"))
    sides = []
    for name in (first, second):
        turns = conversation_of(unwritten(row[name], name), name)
        asked = [n for n, message in enumerate(turns) if message["role"] == "user"]
        if turn and int(turn) < len(asked):
            turns = turns[: asked[int(turn)]]
        before, response = turn_of([dict(message) for message in turns], name, ())
        sides.append(Answer("", before, response))
    return decided(sides, better(row, winner, (first, second)))


def arena_lists(row: Row, prompt: str, first: str, second: str, *winners: str) -> list[Answer]:
    """The questions as one list, the answers of each model as another, and a column for each outcome (arena-55k)."""
    asked = list_of(row[prompt], prompt)
    sides = []
    for name in (first, second):
        said = list_of(row[name], name)
        if len(said) != len(asked):
            raise BadValue(f"{name} has {len(said)} entries, expected {len(asked)}")
        turns = [
            {"role": role, "content": text_of(text, f"a turn of {name}")}
            for pair in zip(asked, said, strict=True)
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        sides.append(Answer("", turns[0]["content"] if len(turns) == 2 else tuple(turns[:-1]), turns[-1]["content"]))
    won = [verdict_of(row[name]) for name in winners]
    if won.count(True) != 1 or None in won:
        raise BadValue(f"{', '.join(winners)} name no single outcome")
    return decided(sides, (FIRST, SECOND, TIE)[won.index(True)])


def decided(answers: list[Answer], winner: int, ratings: list[float | None] | None = None) -> list[Answer]:
    """The better answer as chosen, the other as rejected; of a tie both by number, rated alike."""
    rated = [a._replace(rating=rating) for a, rating in zip(answers, ratings or [None, None], strict=True)]
    if winner == TIE:
        return tied(rated)
    chosen, rejected = rated if winner == FIRST else rated[::-1]
    return [chosen._replace(role="chosen"), rejected._replace(role="rejected")]


def better(row: Row, verdict: str, names: tuple[str, str]) -> int:
    """Which of two answers a verdict prefers; a number means what the names of the answers and of the verdict say it means."""
    value = row[verdict]
    number = number_of(value)
    if number is None:
        return _by_word(row, verdict, names)
    if verdict in SIGNED and abs(number) <= STRONGEST:
        return TIE if number == 0 else FIRST if number < 0 else SECOND
    first = PAIRS.get(names)
    if first is not None and number in (first, first + 1):
        return FIRST if number == first else SECOND
    if first is not None and number == first + 0.5:  # AlpacaEval's draw
        return TIE
    raise BadValue(f"{verdict} is {str(value)[:40]}, which does not say whether {names[0]} or {names[1]} is better")


def _by_word(row: Row, verdict: str, names: tuple[str, str]) -> int:
    value = row[verdict]
    if not isinstance(value, str):
        raise BadValue(f"{verdict} is {kind_of(value)}, expected which answer is better")
    word = _plain(value)
    own = {_plain(name): side for side, name in zip((FIRST, SECOND), names, strict=True)}
    models = [_plain(str(row[name])) if row.get(name) else "" for name in ("model_a", "model_b")]
    if models[0] != models[1]:  # of two answers by one model its name says nothing
        own |= {name: side for side, name in zip((FIRST, SECOND), models, strict=True) if name}
    if (found := own.get(word, WORDS.get(word))) is None:
        raise BadValue(f"{verdict} is {value[:40]!r}, which does not say whether {names[0]} or {names[1]} is better")
    return found


def _plain(word: str) -> str:
    """A verdict without its brackets, case, blanks and underscores: "[[A>>B]]", "Model A", "tie (bothbad)"."""
    return re.sub(r"[\s_()]+", "", word.strip().strip("[]").lower())


def _by_scores(row: Row, *scores: str) -> tuple[int, list[float | None]]:
    ratings = [number_of(row[name]) for name in scores]
    one, two = ratings
    if one is None or two is None:
        raise BadValue(f"{scores[ratings.index(None)]} is no number")
    return TIE if one == two else FIRST if one > two else SECOND, ratings


def _two(row: Row, prompt: str, first: str, second: str) -> list[Answer]:
    context = prompt_of_row(row, prompt)
    return [Answer("", *turn_of(row[name], name, context)) for name in (first, second)]


def _names(row: Row, first: str, second: str) -> tuple[str, str]:
    """The names of the two answers; several pairs of names in one row are for a person to tell apart."""
    found = [names for names in PAIRS if all(row.get(name) is not None for name in names)]
    if not found:
        raise BadValue(f"there is no other answer beside {first}")
    if found != [(first, second)]:
        raise BadValue(f"there are more than two answers, such as {first} and {second}; say which are meant")
    return first, second


def orig_preference(row: Row, prompt: str, first: str, second: str, verdict: str) -> list[Answer]:
    """The answers that a judge was shown, not the judge's own text (Prometheus), and what they were rated."""
    ratings: list[Any] = [number_of(row.get(name)) for name in ("orig_score_A", "orig_score_B")]
    return decided(_two(row, prompt, first, second), _by_word(row, verdict, (first, second)), ratings)
