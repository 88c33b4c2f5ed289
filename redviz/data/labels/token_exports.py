"""Spans over tokens: Prodigy's tasks and spaCy's documents, whose offsets count characters or tokens."""

from __future__ import annotations

from typing import Any

from redviz.data.labels.label_values import Judged, Span, judged_row, listed, maybe_list, span_of
from redviz.data.sets.values import BadValue, Row, kind_of, short_name, text_of

ANSWERS = ("accept", "reject", "ignore")
YES_OR_NO = ("ner", "spans")  # views that show one suggestion; ner_manual and spans_manual show the whole text
BY = ("_annotator_id", "_session_id")
OF_DOCS = ("ents", "spans")

Tokens = list[tuple[int, int]]


def is_prodigy(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("text"), str)
        and ("_task_hash" in row or "_input_hash" in row or row.get("answer") in ANSWERS)
    )


def read_prodigy(row: Row, line: int) -> Judged:
    """The spans of an accepted task; a rejected or ignored one says nothing of which spans are right."""
    answer = row.get("answer", "accept")
    if answer != "accept":
        raise BadValue(f"its answer is {short_name(str(answer), 20)}, and only accepted tasks say what is marked")
    if row.get("_view_id") in YES_OR_NO:
        raise BadValue("it is a yes to one suggested span, which says nothing of the other words")
    if row.get("spans") is None and row.get("tokens") is None:
        raise BadValue("it has no spans")
    text = text_of(row.get("text"), "text")
    tokens = tokens_of(row.get("tokens"), text)
    spans = tuple(
        _span(entry, "spans", text, tokens, of_characters=True) for entry in listed(row.get("spans") or [], "spans")
    )
    by = next((row[name] for name in BY if row.get(name) not in (None, "")), None)
    named = {"prompt": row.get("prompt", ""), "text": text}
    return judged_row({**_about(row), "annotator": by}, named, line, spans)


def is_spacy(row: Any) -> bool:
    if isinstance(row, list):
        return len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict) and "entities" in row[1]
    if not isinstance(row, dict) or not (isinstance(row.get("text"), str) or _words(row.get("tokens"))):
        return False
    columns = [row[name] for name in OF_DOCS if row.get(name) is not None]
    listed_there = bool(columns) and all(
        isinstance(column, dict) or maybe_list(column) is not None for column in columns
    )
    return listed_there and all(
        isinstance(entry, dict) and entry.keys() & {"start", "start_char", "token_start"}
        for column in columns
        for entry in _entries(column)
    )


def read_spacy(row: Any, line: int) -> Judged:
    """A document (``Doc.to_json``, or spans with their places in tokens), or ``[text, {"entities": [[start, end, label]]}]``."""
    if isinstance(row, list):
        entities = listed(row[1]["entities"], "entities")
        if not all(isinstance(entry, list) and len(entry) == 3 for entry in entities):
            raise BadValue("an entry of entities is not [start, end, label]")
        return judged_row({}, {"text": row[0]}, line, tuple(span_of(*entry) for entry in entities))
    words = _words(row.get("tokens"))
    text = row["text"] if isinstance(row.get("text"), str) else " ".join(words)
    tokens = tokens_of(row.get("tokens"), text)
    of_characters = not words  # a document's own tokens have their places, and so have its spans
    spans = tuple(
        _span(entry, name, text, tokens, of_characters) for name in OF_DOCS for entry in _entries(row.get(name))
    )
    return judged_row(_about(row), {"prompt": row.get("prompt", ""), "text": text}, line, spans)


def tokens_of(value: Any, text: str) -> Tokens:
    """Where the tokens of a row stand in its text, found by their own words where those are given; none where there are none.

    >>> tokens_of(["A", "dull", "film"], "A  dull film")
    [(0, 1), (3, 7), (8, 12)]
    """
    places: Tokens = []
    at = 0
    for token in listed(value or [], "tokens"):
        word = _word(token)
        if word is not None and not word.strip():
            places.append((at, at))
        elif word is not None:
            at = text.find(word, at)
            if at < 0 or text[places[-1][1] if places else 0 : at].strip():
                raise BadValue(f"the token {short_name(word, 20)!r} is not where the text goes on")
            places.append((at, at + len(word)))
            at += len(word)
        elif isinstance(token, dict) and isinstance(token.get("start"), int) and isinstance(token.get("end"), int):
            places.append((token["start"], token["end"]))
        else:
            raise BadValue(f"a token is {kind_of(token)}, expected text or an object with text, or with start and end")
    return places


def _span(entry: Any, name: str, text: str, tokens: Tokens, of_characters: bool) -> Span:
    """One span in characters, with the words that it says or that its tokens are.

    A tool's ``start`` and ``end`` count characters (``of_characters``). Scripts over lists of words also write spaCy's
    ``Span.start``, which counts tokens: that reading is taken where the other does not end with tokens, or does not fit the quote.
    """
    if not isinstance(entry, dict):
        raise BadValue(f"an entry of {name} is {kind_of(entry)}, expected an object with start and end")
    label, quote = entry.get("label"), entry.get("text")
    by_tokens = _of_tokens(entry.get("token_start"), entry.get("token_end"), tokens, 1)
    said = quote if isinstance(quote, str) or by_tokens is None else text[slice(*by_tokens)]
    if "start_char" in entry:
        return span_of(entry["start_char"], entry.get("end_char"), label, said)
    if "start" not in entry:
        if by_tokens is None:
            raise BadValue(f"an entry of {name} has no start and end, nor token_start and token_end of its tokens")
        return span_of(*by_tokens, label, quote)
    place = span_of(entry["start"], entry.get("end"), label, said)
    counted = None if of_characters else _of_tokens(place.start, place.end, tokens, 0)
    if by_tokens is not None or counted in (None, (place.start, place.end)):
        return place
    assert counted is not None
    fits = place.start in {start for start, _ in tokens} and place.end in {end for _, end in tokens}
    if isinstance(quote, str):
        fits = text[slice(*counted)].split() != quote.split()
    elif fits:
        raise BadValue(
            f"whether {place.start} to {place.end} counts characters or tokens is not clear; name them start_char and end_char"
        )
    return place if fits else span_of(*counted, label, quote)


def _of_tokens(first: Any, last: Any, tokens: Tokens, beyond: int) -> tuple[int, int] | None:
    """The characters from token ``first`` up to ``last``, which is the last one (``beyond`` 1) or the one behind it."""
    if not isinstance(first, int) or not isinstance(last, int) or not 0 <= first < last + beyond <= len(tokens):
        return None
    return tokens[first][0], tokens[last + beyond - 1][1]


def _entries(value: Any) -> list[Any]:
    """The spans of a list, or of every group of ``Doc.spans``."""
    if isinstance(value, dict):
        return [entry for group in value.values() for entry in _entries(group)]
    return maybe_list(value) or []


def _words(value: Any) -> list[str]:
    words = [_word(token) for token in value] if isinstance(value, list) else []
    return [word for word in words if word is not None] if None not in words else []


def _word(token: Any) -> str | None:
    word = token.get("text", token.get("orth")) if isinstance(token, dict) else token
    return word if isinstance(word, str) else None


def _about(row: Row) -> Row:
    """What a row says of itself beside its text: an id, an annotator, a part of the set."""
    meta = row["meta"] if isinstance(row.get("meta"), dict) else {}
    return {**meta, **{name: value for name, value in row.items() if name not in (*OF_DOCS, "tokens", "text", "meta")}}
