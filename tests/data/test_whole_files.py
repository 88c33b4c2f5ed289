"""Files that are there whole or not at all, whoever else writes them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from redviz.data.results.row_files import read_rows, write_rows
from redviz.data.whole_files import replace_file


def test_two_threads_that_write_one_file_at_once_do_not_mix(tmp_path):
    path, both = tmp_path / "file", Barrier(2)

    def write(letter: str) -> None:
        def slowly(file: Path) -> None:
            file.write_text(letter)
            both.wait(60)
            file.write_text(file.read_text() + letter)

        replace_file(path, slowly)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("aa", "bb")
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    replace_file(path, lambda file: file.write_text("old"))

    def breaks(file: Path) -> None:
        file.write_text("ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        replace_file(path, breaks)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_they_may_read_of_any_new_file(tmp_path):
    replace_file(tmp_path / "file", lambda file: file.write_text(""))
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_two_threads_that_write_one_result_file_at_once_do_not_mix(tmp_path):
    path, both = tmp_path / "rows.jsonl", Barrier(2)

    def write(letter: str) -> int:
        def slowly():
            for _ in range(2):
                both.wait(60)
                yield [{"response": letter, "label": "red", "credits": [1.0]}]

        return write_rows(path, slowly())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, "ab")) == [2, 2]
    found = [row["response"] for batch in read_rows(path) for row in batch]
    assert found in (["a", "a"], ["b", "b"]) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_result_rows_are_on_the_disk_before_they_have_their_name(tmp_path, monkeypatch, ending):
    path, synced, fsync = tmp_path / f"rows.{ending}", [], os.fsync

    def told(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size, path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", told)
    write_rows(path, [[{"response": "a", "label": "red", "credits": [1.0]}]])
    file, folder = synced
    assert file == (path.stat().st_ino, path.stat().st_size, False), "whole, and under another name"
    assert folder[0] == tmp_path.stat().st_ino and folder[2], "and then the name"
