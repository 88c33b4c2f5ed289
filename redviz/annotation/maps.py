"""Credit maps: a method's credit for every cell of an item. Two of them, unnamed, are what the second task compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from redviz.annotation.items import locked_item
from redviz.annotation.store import Store, milliseconds
from redviz.annotation.tables import Assignment, CreditMap
from redviz.errors import RedvizError


@dataclass(frozen=True)
class MapInfo:
    """The credits of one method for one item.

    Attributes
    ----------
    values
        One credit per cell of the item.
    provenance
        What computed them: model, revision, dtype, versions.
    """

    id: int
    item_id: int
    label: str
    method: str
    options: Mapping[str, Any]
    values: tuple[float, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two maps to choose between, as they stand; ``choice`` is the answer, None before it."""

    left: MapInfo
    right: MapInfo
    choice: str | None


def put_map(
    store: Store,
    item_id: int,
    label: str,
    method: str,
    values: Sequence[float],
    *,
    options: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    now: int | None = None,
) -> MapInfo:
    """Keep a method's credits of an item, one per cell.

    Raises RedvizError where their number is not that of the cells, where one is not finite, and where other values were already
    kept under the label and somebody may have seen them.
    """
    with store.writing() as session:
        item = locked_item(session, item_id)
        given = [float(value) for value in values]
        if len(given) != len(item.cells) or not all(map(math.isfinite, given)):
            raise RedvizError(
                f"A map of item {item.external_id!r} needs {len(item.cells)} finite credits; {len(given)} were given."
            )
        row = session.scalars(
            select(CreditMap).where(CreditMap.item_id == item_id, CreditMap.label == label)
        ).one_or_none()
        if row is None:
            row = CreditMap(item_id=item_id, label=label)
            session.add(row)
        elif row.values != given and _was_seen(session, item_id):
            raise RedvizError(
                f"People have seen the map {label!r} of item {item.external_id!r}; give the new one another label."
            )
        row.method, row.values = method, given
        row.options, row.provenance = dict(options or {}), dict(provenance or {})
        row.created_at = milliseconds() if now is None else now
        session.flush()
        return map_info(row)


def _was_seen(session: Session, item_id: int) -> bool:
    return session.scalar(select(Assignment.id).where(Assignment.item_id == item_id).limit(1)) is not None


def map_info(row: CreditMap) -> MapInfo:
    return MapInfo(row.id, row.item_id, row.label, row.method, row.options, tuple(row.values), row.provenance)
