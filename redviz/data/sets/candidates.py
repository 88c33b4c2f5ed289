"""From the columns of one row to its candidate responses, one function per schema."""

import re
from itertools import combinations
from typing import Any, NamedTuple

from redviz.data.sets.conversations import context_of, is_turn, turn_of, unwritten, with_history, with_system
from redviz.data.sets.items import HumanSpan
from redviz.data.sets.spelling import as_list, list_of, spelled
from redviz.data.sets.values import BadValue, Row, kind_of, number_of, short_name, text_of, verdict_of
from redviz.records import Prompt

# Columns of chats, which are a prompt beside answers.
CONTEXTS = (
    "messages", "conversation", "trajectory", "context", "history", "chat_history", "dialogue", "dialog", "chat",
)  # fmt: skip
CHATS = ("messages", "conversation", "conversations", "trajectory")  # columns that may repeat an answer at their end
VERDICTS = ("label", "kto_tag")
ANSWERS = ("response", "completion")
TEXTS = ("response", "answer", "text", "content", "completion")  # what a listed response is called


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
    context = prompt_of_row(row, prompt) if prompt else with_system(row, "")
    if prompt in CHATS:
        context = _without_answer(context, [row[side] for side in sides])
    found = []
    for role, side in zip(("chosen", "rejected"), sides, strict=True):
        before, response = turn_of(row[side], side, context)
        found.append(Answer(role, before, response, _rating(row, role)))
    return tied(found) if row.get("status") == "tie" else found


def tied(answers: list[Answer]) -> list[Answer]:
    """Two answers of which neither was preferred: numbers for roles, and ratings that are equal."""
    ratings = {answer.rating for answer in answers}
    same = ratings.pop() if len(ratings) == 1 else None
    return [answer._replace(role=str(n), rating=0.5 if same is None else same) for n, answer in enumerate(answers, 1)]


def _without_answer(context: Prompt, sides: list[Any]) -> Prompt:
    """A conversation without its last turn where that is one of the answers itself."""
    if len(context) < 2 or isinstance(context, str) or context[-1]["role"] != "assistant":
        return context
    answers = [turn_of(side, "a side", "")[1] for side in sides]
    return context[:-1] if context[-1]["content"] in answers else context


def one(row: Row, prompt: str, response: str) -> list[Answer]:
    return [Answer("", *turn_of(row[response], response, prompt_of_row(row, prompt)))]


def answer_to_chat(row: Row, chat: str, response: str) -> list[Answer]:
    """A chat and the response to it, which may stand at the chat's end once more."""
    context = _without_answer(prompt_of_row(row, chat), [row[response]])
    return [Answer(_role_of(row), *turn_of(row[response], response, context))]


def has_chat(row: Row) -> bool:
    """Whether the column for a chat says something; turns of another form beside whole chats are none (Capybara)."""
    found = next((row[name] for name in CONTEXTS if row.get(name) is not None), None)
    side = row.get("chosen")
    if isinstance(found, list) and isinstance(side, list) and len(side) > 1 and not all(map(is_turn, found)):
        return False
    return bool(found)


def follows_chat(row: Row) -> bool:
    """Whether a response is to a chat, not beside one that ends in a response of its own."""
    chat, response = (next(name for name in names if row.get(name) is not None) for names in (CONTEXTS, ANSWERS))
    if not row[chat] or (isinstance(row[chat], str) and row.get("question")):  # a passage that a question is about
        return False
    try:
        context = context_of(row[chat], chat)
        if isinstance(context, str) or not context or context[-1]["role"] != "assistant":
            return True
        return len(_without_answer(context, [row[response]])) < len(context)
    except BadValue:  # told when the row is read
        return True


def one_rated(row: Row, prompt: str, response: str, score: str) -> list[Answer]:
    """One response with the score that a trainer or a judge gave it."""
    [answer] = one(row, prompt, response)
    return [answer._replace(rating=number_of(row[score]))]


def unpaired(row: Row, prompt: str, completion: str, label: str) -> list[Answer]:
    verdict = verdict_of(row[label])
    if verdict is None:
        raise BadValue(f"{label} is {kind_of(row[label])}, expected true or false")
    [answer] = one(row, prompt, completion)
    return [answer._replace(role="chosen" if verdict else "rejected")]


def is_verdict(row: Row) -> bool:
    return any(verdict_of(row.get(name)) is not None for name in VERDICTS)


def continued(row: Row, prompt: str, steps: str, *sides: str) -> list[Answer]:
    """Two continuations of steps that were taken already: each response is these steps and what follows them (Step-DPO)."""
    taken = text_of(row[steps], steps)
    answers = pair(row, prompt, *sides)
    return [a._replace(response=taken + a.response if a.response else "") for a in answers]  # an empty step is told


def chat_and_rejected(row: Row, messages: str, rejected: str) -> list[Answer]:
    """A chat whose last turn is the chosen response, and the one that was rejected beside it (ms-swift)."""
    [chosen] = conversation(row, messages)
    before, response = turn_of(row[rejected], rejected, chosen.prompt)
    return [
        chosen._replace(role="chosen", rating=_rating(row, "chosen")),
        Answer("rejected", before, response, _rating(row, "rejected")),
    ]


def is_no_pair(row: Row) -> bool:
    """Whether a row with several responses lacks the two that were picked from them as chosen and rejected (Argilla)."""
    return row.get("chosen") is None or row.get("rejected") is None


def several(row: Row, prompt: str, responses: str) -> list[Answer]:
    listed = list_of(row[responses], responses)
    if isinstance(listed[0], dict) and unwritten(listed[0]) is listed[0]:  # no message: a response with its model
        return completions(row, prompt, responses)
    context = prompt_of_row(row, prompt)
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
    """Completions with a judge's scores: an overall one, the mean of its annotations (UltraFeedback), its rank (Nectar), votes."""
    entries = list_of(row[listed], listed)
    entries = [entry if isinstance(entry, dict) else {"response": entry} for entry in entries]
    context = prompt_of_row(row, prompt)
    models = [entry.get("model") for entry in entries]
    roles = _roles(models)
    judged = _judged(row.get("annotations"), models)
    found = []
    for n, (role, entry, rating) in enumerate(zip(roles, entries, judged, strict=True), 1):
        name = next((name for name in TEXTS if entry.get(name) is not None), "response")
        own = _overall(entry)
        found.append(
            Answer(
                role, *turn_of(entry.get(name), f"{name} of completion {n}", context), rating if own is None else own
            )
        )
    return found


def steps(row: Row, prompt: str, listed: str, labels: str) -> list[Answer]:
    """The steps of one completion, joined by a line break as TRL does, each a span labelled good or bad."""
    texts = [text_of(step, f"step {n} of {listed}") for n, step in enumerate(list_of(row[listed], listed), 1)]
    verdicts = [verdict_of(label) for label in as_list(row[labels], labels, len(texts))]
    if None in verdicts:
        raise BadValue(f"label {verdicts.index(None) + 1} of {labels} is neither true nor false")
    return [stepped(prompt_of_row(row, prompt), texts, [bool(v) for v in verdicts])]


def stepped(prompt: Prompt, texts: list[str], verdicts: list[bool]) -> Answer:
    """Steps with their verdicts as one response."""
    spans, at = [], 0
    for text, verdict in zip(texts, verdicts, strict=True):
        if text:
            spans.append(HumanSpan(at, at + len(text), "good" if verdict else "bad"))
        at += len(text) + 1
    response = "\n".join(texts)
    return Answer("", prompt, response if response.strip() else "", spans=tuple(spans))


def conversation(row: Row, messages: str) -> list[Answer]:
    """The last assistant turn of a chat, chosen or rejected where the row says so (ms-swift, LLaMA-Factory)."""
    before, response = turn_of(list_of(row[messages], messages), messages, ())
    return [Answer(_role_of(row), with_system(row, before) if before else before, response)]


def _role_of(row: Row) -> str:
    """Chosen or rejected, where true or false says so beside a chat: a number may be a class of any kind."""
    said = (str(row[name]).strip().lower() for name in VERDICTS if isinstance(row.get(name), bool | str))
    return {"true": "chosen", "false": "rejected"}.get(next(said, ""), "")


def instruction(row: Row, column: str, response: str) -> list[Answer]:
    return [Answer("", prompt_of_row(row, column), text_of(row[response], response))]


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


def prompt_of_row(row: Row, column: str) -> Prompt:
    """The prompt in a column, with what other columns hold of it: system text, earlier turns, functions, an instruction's object."""
    prompt = context_of(row[column], column)
    if column == "instruction":
        # The text that an instruction is about has its own column (Alpaca: input, Dolly: context), part of the prompt.
        about = [text_of(row[name], name) for name in ("input", "context") if row.get(name)]
        if about and isinstance(prompt, str):
            prompt = "\n\n".join([prompt, *about])
    return with_system(row, prompt if column == "history" else with_history(row, prompt))


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


def _judged(annotations: Any, models: list[Any]) -> list[float | None]:
    """The ratings that stand beside the completions, by the models that wrote them or in their order (CodeUltraFeedback)."""
    if isinstance(annotations, str):
        annotations = spelled(annotations)
    notes = [note for note in annotations if isinstance(note, dict)] if isinstance(annotations, list) else []
    ratings = [number_of(note.get("rating")) for note in notes]
    if len(notes) == len(models) and not any(note.get("model") for note in notes):
        return ratings
    by_model = {note.get("model"): rating for note, rating in zip(notes, ratings, strict=True)}
    return [by_model.get(model) for model in models]


def _overall(entry: Row) -> float | None:
    """The score of a completion: the overall one, the fine-grained one, votes, its rank below zero, its annotations' mean rating."""
    for name in ("overall_score", "fine-grained_score", "score", "rating", "pm_score"):
        if (score := number_of(entry.get(name))) is not None:
            return score
    if (rank := number_of(entry.get("rank"))) is not None:
        return 0.0 - rank  # the first is the best
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
