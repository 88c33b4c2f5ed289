"""From the columns of one row to its candidate responses, one function per schema."""

import re
from itertools import combinations
from typing import Any, NamedTuple

from redviz.data.sets.conversations import context_of, turn_of, with_system
from redviz.data.sets.items import HumanSpan
from redviz.data.sets.values import BadValue, Row, as_list, kind_of, list_of, number_of, short_name, text_of, verdict_of
from redviz.records import Prompt


class Answer(NamedTuple):
    """One response of a row. ``preferences`` belong to the row and stand on its first answer."""

    role: str
    prompt: Prompt
    response: str
    rating: float | None = None
    spans: tuple[HumanSpan, ...] = ()
    preferences: tuple[tuple[str, str], ...] = ()


def pair(row: Row, prompt: str, *sides: str) -> list[Answer]:
    """Chosen and rejected, with the prompt of the column or, where that is "", the shared beginning of both."""
    context = _context(row, prompt) if prompt else with_system(row, "")
    found = []
    for role, side in zip(("chosen", "rejected"), sides, strict=True):
        before, response = turn_of(row[side], side, context)
        found.append(Answer(role, before, response, _rating(row, role)))
    return found


def one(row: Row, prompt: str, response: str) -> list[Answer]:
    return [Answer("", *turn_of(row[response], response, _context(row, prompt)))]


def unpaired(row: Row, prompt: str, completion: str, label: str) -> list[Answer]:
    verdict = verdict_of(row[label])
    if verdict is None:
        raise BadValue(f"{label} is {kind_of(row[label])}, expected true or false")
    [answer] = one(row, prompt, completion)
    return [answer._replace(role="chosen" if verdict else "rejected")]


def is_verdict(row: Row) -> bool:
    return verdict_of(row["label"]) is not None


def several(row: Row, prompt: str, responses: str) -> list[Answer]:
    listed = list_of(row[responses], responses)
    context = _context(row, prompt)
    ratings = _ratings(row, ("ratings", "scores", "rating"), len(listed))
    return [
        Answer(str(n), *turn_of(value, f"{responses} {n}", context), rating)
        for n, (value, rating) in enumerate(zip(listed, ratings, strict=True), 1)
    ]


def generations(row: Row, prompt: str, responses: str) -> list[Answer]:
    """As :func:`several`, each by the name of the model that wrote it where the row says so (distilabel)."""
    answers = several(row, prompt, responses)
    if not isinstance(models := row.get("generation_models"), list):
        return answers
    roles = _roles(as_list(models, "generation_models", len(answers)))
    return [answer._replace(role=role) for answer, role in zip(answers, roles, strict=True)]


def completions(row: Row, prompt: str, listed: str) -> list[Answer]:
    """Completions with a judge's scores (UltraFeedback)."""
    entries = list_of(row[listed], listed)
    entries = [entry if isinstance(entry, dict) else {"response": entry} for entry in entries]
    context = _context(row, prompt)
    roles = _roles([entry.get("model") for entry in entries])
    return [
        Answer(role, *turn_of(entry.get("response"), f"response of completion {n}", context), _overall(entry))
        for n, (role, entry) in enumerate(zip(roles, entries, strict=True), 1)
    ]


def steps(row: Row, prompt: str, listed: str, labels: str) -> list[Answer]:
    """The steps of one completion, joined by a line break as TRL does, each a span labelled good or bad."""
    texts = [text_of(step, f"step {n} of {listed}") for n, step in enumerate(list_of(row[listed], listed), 1)]
    verdicts = [verdict_of(label) for label in as_list(row[labels], labels, len(texts))]
    if None in verdicts:
        raise BadValue(f"label {verdicts.index(None) + 1} of {labels} is neither true nor false")
    spans, at = [], 0
    for text, verdict in zip(texts, verdicts, strict=True):
        if text:
            spans.append(HumanSpan(at, at + len(text), "good" if verdict else "bad"))
        at += len(text) + 1
    response = "\n".join(texts)
    return [Answer("", _context(row, prompt), response if response.strip() else "", spans=tuple(spans))]


def conversation(row: Row, messages: str) -> list[Answer]:
    before, response = turn_of(list_of(row[messages], messages), messages, ())
    return [Answer("", with_system(row, before) if before else before, response)]


def instruction(row: Row, column: str, response: str) -> list[Answer]:
    return [Answer("", _context(row, column), text_of(row[response], response))]


def feedback(row: Row, question: str, passages: str, first: str) -> list[Answer]:
    """Predictions for a question about passages, with error spans on the first and pairwise preferences (FineGrainedRLHF).

    A candidate's rating is the number of comparisons it won, a tie counting half.
    """
    about = list_of(row[passages], passages) if row[passages] else []  # some questions have none
    prompt = "\n\n".join([text_of(row[question], question), *(_passage(passage) for passage in about)])
    # A prediction that is null in one row (Parquet has the column for all) is not there.
    roles = sorted(
        (found[1] for name in row if row[name] and (found := re.fullmatch(r"prediction (\d)", name))), key=int
    )
    wins, stated = _preferences(row.get("preference"), roles)
    spans = _error_spans(row.get("feedback"), text_of(row[first], first))
    return [
        Answer(
            role,
            prompt,
            text_of(row[f"prediction {role}"], f"prediction {role}"),
            wins.get(role),
            spans if role == "1" else (),
            stated if n == 0 else (),
        )
        for n, role in enumerate(roles)
    ]


def _context(row: Row, column: str) -> Prompt:
    if column != "instruction":
        return with_system(row, context_of(row[column], column))
    # The text that an instruction is about has its own column (Alpaca: input, Dolly: context), part of the prompt.
    about = [text_of(row[name], name) for name in ("input", "context") if row.get(name)]
    prompt = context_of(row[column], column)
    if about and isinstance(prompt, str):
        prompt = "\n\n".join([prompt, *about])
    return with_system(row, prompt)


def _passage(passage: Any) -> str:
    if not isinstance(passage, list) or not passage:
        raise BadValue("a passage is not a list of a title and its sentences")
    title, *sentences = [text_of(part, "a passage") for part in passage]
    text = " ".join(sentences).removeprefix(f"{title}\n\n")  # a first passage repeats its title
    return f"{title}\n{text}"


def _preferences(stated: Any, roles: list[str]) -> tuple[dict[str, float], tuple[tuple[str, str], ...]]:
    """Wins per role, and the pairs (better, worse), of verdicts in the order 1v2, 1v3, ...: 1 the first, 2 the second, 0 neither."""
    if stated is None:
        return {}, ()
    pairs = list(combinations(roles, 2))
    wins, better = dict.fromkeys(roles, 0.0), []
    for (a, b), verdict in zip(pairs, as_list(stated, "preference", len(pairs)), strict=True):
        if verdict not in (0, 1, 2):
            raise BadValue(f"preference between {a} and {b} is not 0, 1 or 2")
        wins[a] += (0.5, 1.0, 0.0)[int(verdict)]
        wins[b] += (0.5, 0.0, 1.0)[int(verdict)]
        if verdict:
            better.append((a, b) if verdict == 1 else (b, a))
    return wins, tuple(better)


def _error_spans(stated: Any, response: str) -> tuple[HumanSpan, ...]:
    errors = stated.get("errors") if isinstance(stated, dict) else None
    spans = []
    for error in errors or ():
        start, end = (error.get("start"), error.get("end")) if isinstance(error, dict) else (None, None)
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(response)):
            raise BadValue(f"the error span from {str(start)[:20]} to {str(end)[:20]} is not inside prediction 1")
        spans.append(HumanSpan(start, end, short_name(str(error.get("error type") or "error"), 60)))
    return tuple(sorted(spans, key=lambda span: (span.start, span.end)))


def _roles(models: list[Any]) -> list[str]:
    """The names of models as roles, each once; a number where there is no name."""
    roles: list[str] = []
    for n, model in enumerate(models, 1):
        name = short_name(model, 60) if isinstance(model, str) else ""
        name = name or str(n)
        while name in roles:
            name = f"{name}-{n}"
        roles.append(name)
    return roles


def _overall(entry: Row) -> float | None:
    """The score of a completion: the overall one, else the fine-grained one, else the mean rating of its annotations."""
    for name in ("overall_score", "fine-grained_score", "score", "rating"):
        if (score := number_of(entry.get(name))) is not None:
            return score
    notes = entry.get("annotations")
    notes = [note for note in notes.values() if isinstance(note, dict)] if isinstance(notes, dict) else []
    ratings = [rating for note in notes if (rating := number_of(note.get("Rating"))) is not None]
    return sum(ratings) / len(ratings) if ratings else None


def _rating(row: Row, side: str) -> float | None:
    names = (
        f"score_{side}",
        f"{side}_score",
        f"rating_{side}",
        f"{side}_rating",
        f"{side}-rating",
        f"{side}_avg_rating",
    )
    return next((rating for name in names if (rating := number_of(row.get(name))) is not None), None)


def _ratings(row: Row, names: tuple[str, ...], length: int) -> list[float | None]:
    name = next((name for name in names if row.get(name)), None)
    return [None] * length if name is None else [number_of(value) for value in as_list(row[name], name, length)]
