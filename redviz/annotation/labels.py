"""A project's labels as the rest of redviz reads them."""

from __future__ import annotations

from sqlalchemy import select

from redviz.annotation.items import gold_of, prompt_of
from redviz.annotation.queue import marks_in
from redviz.annotation.store import Store, living
from redviz.annotation.tables import Annotator, Assignment, Item, Project
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet


def labelled_items(store: Store, project_id: int) -> LabelSet:
    """What people submitted about a project's items, and what was settled; items without either are not among them.

    Annotations come in the order in which they were given. Raises RedvizError where there is no such project.
    """
    with store.reading() as session:
        project = living(session, Project, project_id)
        alive = select(Item).where(Item.project_id == project_id, Item.deleted_at.is_(None)).order_by(Item.place)
        items = session.scalars(alive).all()
        submitted = (
            select(Assignment.id, Assignment.item_id, Annotator.name)
            .join(Annotator)
            .where(Annotator.project_id == project_id, Annotator.deleted_at.is_(None), Assignment.state == "submitted")
            .order_by(Assignment.id)
        )
        rows = session.execute(submitted).all()
        marks = marks_in(session, [assignment_id for assignment_id, _, _ in rows])
        said: dict[int, list[Annotation]] = {}
        for assignment_id, item_id, name in rows:
            said.setdefault(item_id, []).append(Annotation(name, marks.get(assignment_id, ())))
        gold = gold_of(session, [item.id for item in items])
        labelled = tuple(
            LabelledItem(
                item.external_id,
                prompt_of(item.prompt),
                item.response,
                tuple(said.get(item.id, ())),
                gold.get(item.id),
                item.subset,
            )
            for item in items
            if item.id in said or item.id in gold
        )
        sentence = f"Annotation project {project.name!r}: {len(labelled)} of {len(items)} items have a label."
        return LabelSet(project.name, project.scale, labelled, sentence)
