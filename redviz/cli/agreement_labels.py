"""The labels that ``redviz agree`` is asked about: those of an annotation project, or of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from redviz.cli.loading import LISTED
from redviz.cli.terminal import shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.annotation.projects import ProjectInfo
    from redviz.data.labels.labels import LabelSet
    from redviz.evaluation.statistics.bradley_terry import Ranking


def labels_of(project: str | None, dataset: str | None, kind: str | None, seed: int) -> tuple[LabelSet, Ranking | None]:
    """The labels, and the ranking instead where the project asked people to choose between maps."""
    from redviz.evaluation.agreement.agreement import judged

    if project is not None:
        return _of_project(project, seed)
    from redviz.data.labels.label_sets import open_labels

    assert dataset is not None
    labels = open_labels(dataset, kind=kind)
    for problem in labels.problems[:LISTED]:
        typer.echo(f"{shown(labels.name)}, line {problem.line}: left out ({shown(problem.reason)})", err=True)
    if len(labels.problems) > LISTED:
        typer.echo(f"{len(labels.problems):,} rows are left out in all.", err=True)
    if not judged(labels.items):
        raise RedvizError(
            f"{labels.name} has responses but nobody's labels; give a file in which somebody marked them."
        )
    return labels, None


def _of_project(wanted: str, seed: int) -> tuple[LabelSet, Ranking | None]:
    from redviz.annotation.labels import labelled_items
    from redviz.annotation.map_pairs import preferences
    from redviz.annotation.projects import list_projects
    from redviz.annotation.store import open_store
    from redviz.evaluation.statistics.bradley_terry import bradley_terry

    store = open_store()
    try:
        project = _chosen(wanted, list_projects(store))
        labels = labelled_items(store, project.id)
        answers = preferences(store, project.id) if project.task == "maps" else []
    finally:
        store.close()
    if not (answers or (project.task != "maps" and labels.items)):
        raise RedvizError(
            f"Nobody has submitted an item of the project {project.name!r} yet; there is nothing to measure."
        )
    return labels, bradley_terry(answers, seed=seed) if answers else None


def _chosen(wanted: str, projects: Sequence[ProjectInfo]) -> ProjectInfo:
    named = [project for project in projects if project.name == wanted]
    if len(named) > 1:
        ids = " and ".join(str(project.id) for project in named)
        raise RedvizError(f"{len(named)} projects are named {wanted!r}; give an id instead: {ids}.")
    matching = named or [project for project in projects if str(project.id) == wanted]
    if not matching:
        listed = ", ".join(f"{project.id} {project.name!r}" for project in projects[:LISTED])
        more = f" and {len(projects) - LISTED} more" if len(projects) > LISTED else ""
        there = f"there are {listed}{more}" if projects else "there is none in this database yet"
        raise RedvizError(f"There is no project {wanted!r}; {there}.")
    return matching[0]
