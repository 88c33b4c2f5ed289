"""Where a data set comes from: an upload, a folder that this server offers, or the Hub; opened within what each may ask for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import streamlit as st

from redviz import settings
from redviz.app.dataset.state import size
from redviz.app.demonstration import NO_FILES
from redviz.app.parts.kept import keep, kept, kept_choice, once, recall
from redviz.app.session import offered, remembered
from redviz.data.sets.dataset import MAX_UPLOAD, Dataset, open_dataset
from redviz.data.sets.formats import ENDINGS, Content, rows_of
from redviz.data.sets.hub import hub_files, is_hub_id
from redviz.data.sets.items import DataItem, RowProblem
from redviz.data.sets.values import file_name
from redviz.errors import RedvizError

SOURCES = ("Upload", "Server folder", "Hub")
MOST_FILES, DEEPEST = 500, 3
MOST_CHECKED = 20_000  # rows that are read on opening to count what is malformed
PREVIEW = 50  # items
UPLOADED, HUB = "dataset.upload", "dataset.hub"


@dataclass(frozen=True)
class DatasetSource:
    """What ``open_dataset`` takes, and the name under which it is shown."""

    content: Path | bytes | str
    name: str

    @property
    def key(self) -> tuple[str, ...]:
        """Tells it apart from every other, and from itself after a change."""
        if isinstance(self.content, bytes):
            return "upload", self.name, hashlib.sha256(self.content).hexdigest()
        if isinstance(self.content, Path):
            return "file", str(self.content), str(self.content.stat().st_mtime_ns)
        return "hub", self.content


@dataclass(frozen=True)
class Opened:
    """A data set that was opened and read through as far as ``MOST_CHECKED`` rows.

    Attributes
    ----------
    dataset
        None where it fits no known schema.
    refusal
        Why not, in a sentence; "" where it was opened.
    columns
        What a mapping may name; empty where nothing can be read at all.
    responses
        Of the items that were read.
    whole
        Whether all rows were read.
    """

    dataset: Dataset | None
    refusal: str
    columns: tuple[str, ...]
    first: tuple[DataItem, ...] = ()
    items: int = 0
    responses: int = 0
    problems: tuple[RowProblem, ...] = ()
    skipped: int = 0
    whole: bool = True


def chosen_source() -> DatasetSource | None:
    """Draw the ways to choose a data set; the one chosen, or None."""
    if settings.demo_mode():
        st.info(NO_FILES)
        return _server_file() if settings.data_folders() else None
    place = remembered("From", "dataset.source", SOURCES)
    return {"Upload": _upload, "Server folder": _server_file, "Hub": _hub}[place]()


def _upload() -> DatasetSource | None:
    most = min(
        MAX_UPLOAD >> 20, int(st.get_option("server.maxUploadSize"))
    )  # the server refuses more, whatever is said here
    file = st.file_uploader(
        "A file of prompts and responses",
        key="redviz.dataset.file",
        max_upload_size=most,
        help=f"{', '.join(ENDINGS)}: prompt, chosen and rejected; prompt and response; messages; lists of completions; and others",
    )
    # Always here: of a file that is too large the browser tells the server nothing, and shows its own words on hover alone.
    st.caption(
        f"JSONL (also gzipped), JSON, CSV, Parquet or text, up to {most} MB. A larger file opens from a server folder, or is scored "
        "in a terminal with `redviz score --dataset`."
    )
    if file is not None:
        keep(UPLOADED, DatasetSource(file.getvalue(), file.name))
    uploaded: DatasetSource | None = recall(UPLOADED)
    if uploaded is None:
        st.caption(
            "Each response gets a score and the credits of its tokens; pairs of a chosen and a rejected one also give accuracy, "
            "calibration, and whether the model can be split. A line of JSONL: "
            '`{"prompt": "…", "chosen": "…", "rejected": "…"}`'
        )
    if file is None and uploaded is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{file_name(uploaded.name)}, uploaded before")
            st.button("Close it", on_click=keep, args=(UPLOADED, None), type="tertiary")
    return uploaded


def _server_file() -> DatasetSource | None:
    files = server_files(ENDINGS)
    if not files:
        where = "has no data set in the folders of REDVIZ_DATA" if settings.data_folders() else "offers no folder"
        st.info(f"This server {where}; who runs it names folders in REDVIZ_DATA, separated by commas.")
        return None
    name = kept_choice("File", "dataset.server_file", list(files), format_func=lambda n: f"{n} ({size(files[n])})")
    return DatasetSource(files[name], files[name].name)


def _hub() -> DatasetSource | None:
    if offered() is not None:
        st.info(
            "This is a shared server, which fetches no data sets; upload a file or take one of the server's folders."
        )
        return None
    asked: str = kept(
        st.text_input, "Hub id", HUB, "", placeholder="owner/name, owner/name:split or owner/name/config:split"
    ).strip()
    if not asked:
        return None
    # open_dataset reads a text as a path first, and a screen opens paths of its folders alone.
    if not is_hub_id(asked) or Path(asked).exists():
        raise RedvizError("That is no Hub id; write owner/name, owner/name:split or owner/name/config:split.")
    return DatasetSource(asked, asked)


def server_files(endings: tuple[str, ...]) -> dict[str, Path]:
    """The files with these endings in the folders that this server offers, by the name to show; links that lead out are left out."""
    files: dict[str, Path] = {}
    for root in settings.data_folders():
        inside = root.resolve()
        for folder, folders, names in os.walk(root):
            depth = len(Path(folder).relative_to(root).parts)
            folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
            for name in sorted(names):
                path = Path(folder, name)
                if (
                    name.lower().endswith(endings)
                    and not name.startswith(".")
                    and path.is_file()
                    and path.resolve().is_relative_to(inside)
                    and len(files) < MOST_FILES
                ):
                    shown = f"{root.name}/{path.relative_to(root)}".encode(
                        "utf-8", "replace"
                    ).decode()  # names may be no text
                    files[shown] = path
    return files


def opened(source: DatasetSource, mapping: Mapping[str, str], limit: int | None) -> Opened:
    """The data set, opened and checked once for these choices."""
    key = (source.key, tuple(sorted(mapping.items())), limit)
    with st.spinner("Reading …", show_time=True):
        found: Opened = once("dataset.opened", key, lambda: _read(source, mapping, limit))
    return found


def _read(source: DatasetSource, mapping: Mapping[str, str], limit: int | None) -> Opened:
    try:
        dataset = open_dataset(source.content, source.name, mapping=mapping, limit=limit)
        first: list[DataItem] = []
        items = responses = 0
        for item in islice(dataset.items(), MOST_CHECKED):
            items, responses = items + 1, responses + len(item.candidates)
            if items <= PREVIEW:
                first.append(item)
    except RedvizError as error:
        return Opened(None, str(error), _columns(source))
    return Opened(
        dataset,
        "",
        dataset.detected.columns,
        tuple(first),
        items,
        responses,
        tuple(dataset.problems),
        dataset.skipped,
        items < MOST_CHECKED or items == limit,
    )


def _columns(source: DatasetSource) -> tuple[str, ...]:
    """The columns of a data set that fits no schema, from its first file; none where its rows cannot be read either."""
    try:
        if isinstance(source.content, str):
            first = hub_files(source.content)[1][0]
            content = Content(first, file_name(first.name))
        else:
            content = Content(source.content, file_name(source.name))
        file = rows_of(content, frozenset())
        rows = [row for _, row in islice(file.read(), PREVIEW) if isinstance(row, dict)]
    except (RedvizError, IndexError):
        return ()
    return tuple(dict.fromkeys([*file.columns, *(str(name) for row in rows for name in row)]))
