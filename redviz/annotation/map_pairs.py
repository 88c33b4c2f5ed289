"""One pair of maps per assignment: credits brought to an item's cells, which pair is asked next, what people preferred."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from redviz import __version__
from redviz.annotation.judgements import hand_in, refuse_idle, refuse_settled
from redviz.annotation.maps import MapInfo, Pair, map_info, put_map
from redviz.annotation.queue import hold, locked_assignment
from redviz.annotation.store import Store, living, milliseconds
from redviz.annotation.tables import CHOICES, Annotator, Assignment, Choice, CreditMap, Item, Project
from redviz.credit.recipes import Recipe
from redviz.data.labels.labels import Preference
from redviz.errors import RedvizError
from redviz.records import Analysis, Array

Two = tuple[str, str]  # labels, in alphabetical order
OUTCOMES = {"left": 1.0, "right": 0.0, "neither": 0.5}


# ---------------------------------------------------------------- from tokens to cells


def cells_values(analysis: Analysis, label: str, cells: Sequence[Sequence[int]]) -> Array:
    """A method's credits on the cells of an item, ``[C]`` float64; their sum is that of the tokens' own credits.

    A token's credit is shared among the cells it touches, by characters; blanks have no cell and take nothing. A token that
    touches no cell gives its credit to the cell before it (the first, where none is before). What the template's closing tokens
    earn stands on no character and is left out.

    Parameters
    ----------
    cells
        ``C`` pairs (start, end) of characters of the response, in order.

    Raises
    ------
    RedvizError
        For a failed analysis, a label that it has not, and credits that are not numbers.
    """
    if analysis.error:
        raise RedvizError(
            f"There is no map of a failed analysis ({analysis.error.rstrip('.')}); analyze the response again."
        )
    if label not in analysis.credits:
        raise RedvizError(f"The analysis has no credits {label!r}; it has {', '.join(analysis.credits) or 'none'}.")
    return shared(analysis.credits[label].own, analysis.offsets, cells)


def shared(values: Array, offsets: Sequence[Sequence[int]], cells: Sequence[Sequence[int]]) -> Array:
    """Token values ``[T]`` at character ``offsets`` (T pairs) shared among ``cells`` (C pairs, in order): ``[C]`` float64.

    >>> shared(np.array([1.0, 4.0, 0.5]), [(0, 3), (3, 9), (9, 10)], [(0, 3), (4, 6), (6, 9)]).tolist()
    [1.0, 1.6, 2.9]
    """
    if not len(cells) or not np.isfinite(values).all():
        raise RedvizError("A map needs a response with visible characters and a finite credit for every token.")
    spans, targets = np.asarray(offsets, np.int64).reshape(-1, 2), np.asarray(cells, np.int64)  # [T, 2], [C, 2]
    first, last = (np.clip(spans[:, None, n], targets[:, 0], targets[:, 1]) for n in (0, 1))
    overlap = (last - first).astype(np.float64)  # [T, C]: characters of the token in the cell
    nowhere = np.flatnonzero(overlap.sum(1) == 0)
    before = np.searchsorted(targets[:, 0], spans[nowhere, 0], side="right") - 1
    overlap[nowhere, np.maximum(before, 0)] = 1
    found: Array = np.asarray(values, np.float64) @ (overlap / overlap.sum(1, keepdims=True))
    return found


def add_maps(
    store: Store,
    item_id: int,
    values: Mapping[str, Sequence[float] | Array],
    recipes: Mapping[str, Recipe],
    provenance: Mapping[str, Any],
    now: int | None = None,
) -> tuple[MapInfo, ...]:
    """Keep several methods' credits of an item, label -> one per cell; the same again changes nothing.

    Raises what :func:`redviz.annotation.maps.put_map` raises, and RedvizError for a label without a recipe.
    """
    if strange := [label for label in values if label not in recipes]:
        raise RedvizError(f"The map {strange[0]!r} has no recipe; give the method and options that computed it.")
    kept = []
    for label, credits in values.items():
        recipe = recipes[label]
        options, numbers = dict(recipe.options), [float(value) for value in credits]
        kept.append(
            put_map(store, item_id, label, recipe.method, numbers, options=options, provenance=provenance, now=now)
        )
    return tuple(kept)


def provenance_of(analysis: Analysis) -> dict[str, str]:
    """What computed an analysis, for a map's ``provenance``."""
    names = ("model", "revision", "fingerprint", "dtype", "template_hash", "head", "read")
    return {**{name: getattr(analysis.source, name) for name in names}, "redviz_version": __version__}


# ---------------------------------------------------------------- which pair


def next_pair(store: Store, assignment_id: int) -> Pair:
    """The pair of an assignment, the same at every call: the labels least asked in the project, then on the item, then by lot.

    Every assignment is one question, and takes its turn in the order of assignment, so that later answers do not move it. One
    that was skipped counts as asked. Where maps are added to items already given out, open pairs may change.

    Raises
    ------
    RedvizError
        Where there is no such assignment, its project compares no maps, or its item has fewer than two.
    """
    with store.reading() as session:
        row = session.get(Assignment, assignment_id)
        if row is None:
            raise RedvizError(f"There is no assignment {assignment_id}.")
        made = _last_choice(session, assignment_id)
        if made is not None:
            left, right = (session.get_one(CreditMap, map_id) for map_id in (made.left_id, made.right_id))
            return Pair(map_info(left), map_info(right), made.choice)
        item = session.get_one(Item, row.item_id)
        _check_task(session.get_one(Project, item.project_id))
        two = _turns(session, item.project_id, assignment_id)
        of_item = select(CreditMap).where(CreditMap.item_id == item.id, CreditMap.label.in_(two))
        one, other = (map_info(found) for found in session.scalars(of_item.order_by(CreditMap.label)))
        return Pair(one, other, None) if _lot(assignment_id, "side") % 2 else Pair(other, one, None)


def choose_pair(store: Store, assignment_id: int, left: int, right: int, choice: str, now: int | None = None) -> None:
    """Write down the answer to ``next_pair`` (the ids of its maps as they stood) and submit; the same again is harmless.

    Raises
    ------
    RedvizError
        For maps that are not two of the item's, an assignment that is skipped or answered otherwise, a closed project, a
        person who is not active, and where others have taken the place while it lay.
    """
    if choice not in CHOICES:
        raise RedvizError(f"Unknown choice {choice!r}; use one of {', '.join(CHOICES)}.")
    now = milliseconds() if now is None else now
    with store.writing() as session:
        held = locked_assignment(session, assignment_id)
        made = _last_choice(session, assignment_id)
        answer = (left, right, choice)
        if held.row.state == "submitted" and made and (made.left_id, made.right_id, made.choice) == answer:
            return
        _check_task(held.project)
        refuse_settled(held)
        refuse_idle(held)
        of_item = set(session.scalars(select(CreditMap.id).where(CreditMap.item_id == held.item.id)))
        if left == right or not {left, right} <= of_item:
            raise RedvizError("These are not two maps of this item; choose between the two that are shown.")
        if not hold(session, held, now):
            raise RedvizError("Others have judged this item while it lay; go on with the next one.")
        session.add(Choice(assignment_id=assignment_id, left_id=left, right_id=right, choice=choice, chosen_at=now))
        hand_in(session, held, now)


def preferences(store: Store, project_id: int) -> list[Preference]:
    """What was submitted, for :func:`redviz.evaluation.statistics.bradley_terry.bradley_terry`: ``label_a`` stood left, ``label_b`` right.

    Of an assignment's answers to one pair the latest counts. Raises RedvizError where there is no such project.
    """
    with store.reading() as session:
        living(session, Project, project_id)
        labels = {map_id: label for map_id, _, label in _labels(session, project_id)}
        counted = (
            select(Choice, Item.external_id)
            .join(Assignment, Choice.assignment_id == Assignment.id)
            .join(Item, Assignment.item_id == Item.id)
            .join(Annotator, Assignment.annotator_id == Annotator.id)
            .where(Item.project_id == project_id, Assignment.state == "submitted")
            .where(Item.deleted_at.is_(None), Annotator.deleted_at.is_(None))
            .order_by(Choice.id)
        )
        latest = {
            (made.assignment_id, frozenset((made.left_id, made.right_id))): Preference(
                labels[made.left_id], labels[made.right_id], OUTCOMES[made.choice], name
            )
            for made, name in session.execute(counted)
        }
        return list(latest.values())


# ---------------------------------------------------------------- turns


def _turns(session: Session, project_id: int, assignment_id: int) -> Two:
    """The labels that an assignment asks about: every assignment before it has had its turn, with what it really asked if known."""
    of_item: dict[int, list[str]] = {}
    labels = {}
    for map_id, item_id, label in _labels(session, project_id):
        of_item.setdefault(item_id, []).append(label)
        labels[map_id] = label
    pairs = {item_id: list(itertools.combinations(sorted(names), 2)) for item_id, names in of_item.items()}
    up_to = select(Assignment.id, Assignment.item_id).join(Item)
    up_to = up_to.where(Item.project_id == project_id, Assignment.id <= assignment_id).order_by(Assignment.id)
    made = select(Choice.assignment_id, Choice.left_id, Choice.right_id).join(Assignment).join(Item)
    answers = session.execute(made.where(Item.project_id == project_id).order_by(Choice.id))
    chosen = {turn: _two(labels[left], labels[right]) for turn, left, right in answers}
    asked: Counter[Two] = Counter()
    asked_of_item: dict[int, Counter[Two]] = {item_id: Counter() for item_id in pairs}
    two = None
    for turn, item_id in session.execute(up_to):
        two = chosen.get(turn)
        if two is None and pairs.get(item_id):
            two = least_asked(pairs[item_id], asked, asked_of_item[item_id], turn)
        if two is not None:
            asked[two] += 1
            asked_of_item[item_id][two] += 1
    if two is None:
        raise RedvizError("This item has fewer than two maps; compute two on the Project screen.")
    return two


def least_asked(pairs: Sequence[Two], asked: Counter[Two], asked_of_item: Counter[Two], turn: int) -> Two:
    """The pair whose turn it is: of those least asked in all, one least asked of this item, by lot.

    >>> least_asked([("abc", "ig"), ("abc", "red")], Counter({("abc", "ig"): 1}), Counter(), 7)
    ('abc', 'red')
    """
    fewest = min((asked[pair], asked_of_item[pair]) for pair in pairs)
    tied = [pair for pair in pairs if (asked[pair], asked_of_item[pair]) == fewest]
    return min(tied, key=lambda pair: _lot(turn, *pair))


def _lot(turn: int, *words: str) -> int:
    return int.from_bytes(hashlib.sha256("\n".join((str(turn), *words)).encode("utf-8", "surrogatepass")).digest()[:8])


def _two(one: str, other: str) -> Two:
    return (one, other) if one < other else (other, one)


def _labels(session: Session, project_id: int) -> Sequence[Any]:
    columns = select(CreditMap.id, CreditMap.item_id, CreditMap.label).join(Item)
    return session.execute(columns.where(Item.project_id == project_id)).all()


def _last_choice(session: Session, assignment_id: int) -> Choice | None:
    made = select(Choice).where(Choice.assignment_id == assignment_id).order_by(Choice.id.desc())
    return session.scalars(made.limit(1)).one_or_none()


def _check_task(project: Project) -> None:
    if project.task != "maps":
        raise RedvizError("This project asks for marked words, not for a choice between maps.")
