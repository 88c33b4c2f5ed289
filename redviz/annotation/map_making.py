"""The maps of a project's items, computed by a reward model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from redviz.annotation.items import prompt_of
from redviz.annotation.map_pairs import add_maps, cells_values, provenance_of
from redviz.annotation.store import Store, StoreError
from redviz.annotation.tables import CreditMap, Item
from redviz.batches import analyze_batch
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import Recipe, spelled_out
from redviz.errors import RedvizError
from redviz.records import Example

if TYPE_CHECKING:
    from redviz.batches import Model

TOGETHER = 16  # items analyzed at once


@dataclass(frozen=True)
class Made:
    """How many items got their maps, and why others did not: id -> the reason."""

    items: int
    failed: Mapping[str, str]


def without_maps(store: Store, project_id: int, labels: frozenset[str]) -> list[int]:
    """The items that lack a map of any of these labels, in their order."""
    with store.reading() as session:
        alive = select(Item.id).where(Item.project_id == project_id, Item.deleted_at.is_(None)).order_by(Item.place)
        of_project = select(CreditMap.item_id, CreditMap.label).join(Item).where(Item.project_id == project_id)
        there: dict[int, set[str]] = {}
        for item_id, label in session.execute(of_project):
            there.setdefault(item_id, set()).add(label)
        return [item_id for item_id in session.scalars(alive) if not labels <= there.get(item_id, set())]


def make_maps(
    store: Store,
    project_id: int,
    model: Model,
    wanted: Mapping[str, Recipe],
    partners: Partners,
    progress: Callable[[int, int], None],
) -> Made:
    """Compute what is missing; ``progress`` is told after every few items and may raise to stop, what is made stays."""
    missing = without_maps(store, project_id, frozenset(wanted))
    made, failed = 0, {}
    methods = spelled_out(wanted)
    for first in range(0, len(missing), TOGETHER):
        progress(first, len(missing))
        with store.reading() as session:
            rows = [session.get_one(Item, item_id) for item_id in missing[first : first + TOGETHER]]
            given = [(row.id, row.cells, Example(prompt_of(row.prompt), row.response, row.external_id)) for row in rows]
        analyses = analyze_batch(
            model,
            [example for _, _, example in given],
            methods,
            policy=partners.policy,
            reference=partners.reference,
            cost_model=partners.cost_model,
        )
        for (item_id, cells, example), analysis in zip(given, analyses, strict=True):
            if analysis.error:
                failed[example.id] = analysis.error
                continue
            try:
                values = {label: cells_values(analysis, label, cells) for label in wanted}
                add_maps(store, item_id, values, wanted, provenance_of(analysis))
            except StoreError:
                raise  # no fault of this item
            except RedvizError as problem:
                failed[example.id] = str(problem)
                continue
            made += 1
    progress(len(missing), len(missing))
    return Made(made, failed)
