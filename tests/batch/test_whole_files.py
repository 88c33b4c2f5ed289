"""Files that are there whole or not at all, whoever else writes them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from redviz.batch.whole_files import replace_file


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
