"""A Git LFS pointer is told from the file that it stands for by its first line."""

import pytest

from redviz.errors import RedvizError
from redviz.git_lfs import refuse_pointer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a21" * 10 + "abcd\nsize 134217728\n"


@pytest.mark.parametrize(
    "text", [POINTER, POINTER.replace("\n", "\r\n"), "\ufeff" + POINTER, POINTER.replace("git-lfs", "hawser")]
)
def test_pointers(tmp_path, text):
    (tmp_path / "x.csv").write_bytes(text.encode())
    with pytest.raises(RedvizError, match=r"x\.csv is a Git LFS pointer and not the file that it stands for; run"):
        refuse_pointer(tmp_path / "x.csv")


@pytest.mark.parametrize("text", ["", "prompt,response\n", '{"a": "' + POINTER[:42] + '"}', POINTER + "x" * 1024])
def test_what_is_no_pointer(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    refuse_pointer(tmp_path / "x.csv")
    refuse_pointer(tmp_path / "nowhere.csv")
