"""Files that are broken or made to hurt: each gets one sentence, quickly and in little memory."""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.formats import Content, rows_of
from redviz.errors import RedvizError

GOOD = b'{"prompt": "Q", "chosen": "A", "rejected": "B"}\n'
MB = 2**20


def refused(source, name="", **options):
    """What is said about a source that must not be read; at opening, or while its items are given."""
    with pytest.raises(RedvizError) as caught:
        list(open_dataset(source, name, **options).items())
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".") and len(said) < 600
    assert said.isprintable()
    return said


def parquet(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def gzipped_zeros(megabytes, line=b"\0" * MB):
    """A gzip file of repeated blocks, made without holding what it expands to."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(line) for _ in range(megabytes)) + packer.flush()


def zipped(megabytes):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.jsonl", "w") as file:
        for _ in range(megabytes):
            file.write(b"\0" * MB)
    return sink.getvalue()


@pytest.mark.parametrize(
    "bomb",
    [
        gzipped_zeros(64),
        gzipped_zeros(64, GOOD.replace(b"B", b"B" * 4000) * (MB // 4000)),
        gzipped_zeros(4) * 16,  # members one after the other
        gzipped_zeros(64, b"[]," * (MB // 3)),
    ],
    ids=["zeros", "rows", "members", "brackets"],
)
def test_a_gzip_bomb_is_refused_before_it_is_expanded(bomb, tmp_path):
    assert len(bomb) < MB
    (tmp_path / "a.jsonl.gz").write_bytes(bomb)
    tracemalloc.start()
    for source in (bomb, tmp_path / "a.jsonl.gz"):
        said = refused(source, "a.jsonl.gz")
        assert re.match(r"a\.jsonl\.gz expands to more than [\d,]+ times its size \(\d+ MB were read\)", said)
        assert int(re.search(r"\((\d+) MB", said)[1]) < 60
    assert tracemalloc.get_traced_memory()[1] < 64 * MB
    tracemalloc.stop()


def test_an_upload_may_not_expand_without_end_whatever_its_ratio(monkeypatch, tmp_path):
    content = gzip.compress(b'{"prompt": "Q", "response": "' + os.urandom(2 * MB).hex().encode() + b'"}', 1)
    monkeypatch.setattr("redviz.data.sets.formats.MAX_EXPANDED_UPLOAD", 3 * MB)
    assert "a.jsonl.gz expands to more than 3 MB, the most" in refused(content, "a.jsonl.gz")
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    assert len(list(open_dataset(tmp_path / "a.jsonl.gz").items())) == 1


def test_a_zip_bomb_renamed_is_not_opened():
    said = refused(zipped(30), "a.jsonl.gz")
    assert said.startswith("a.jsonl.gz is a zip archive, not .jsonl.gz; unpack")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (GOOD, "a.jsonl.gz", r"^a\.jsonl\.gz is not a sound gzip file"),
        (gzip.compress(GOOD * 50)[:-12], "a.jsonl.gz", r"is cut off inside its gzip stream"),
        (gzip.compress(GOOD * 50)[:-8] + b"\0" * 8, "a.jsonl.gz", r"is not a sound gzip file"),
        (gzip.compress(gzip.compress(GOOD)), "a.jsonl.gz", r"cannot be read: line 1 is not UTF-8"),
        (gzip.compress(b""), "a.jsonl.gz", r"holds no rows"),
        (gzip.compress(GOOD), "a.jsonl", r"^a\.jsonl is a gzip file, not \.jsonl; "),
        (parquet(pa.table({"prompt": ["Q"]})), "a.csv", r"^a\.csv is a Parquet file, not \.csv"),
        ("prompt,response\nQ,A".encode("utf-16"), "a.csv", r"^a\.csv is UTF-16 text"),
        (b"prompt,response\nQ,caf\xe9\n", "a.csv", r"^a\.csv is not UTF-8 \(after line \d\)"),
        (b"prompt,chosen,rejected\n=1+1\n", "a.csv", r"1 cell, but the header"),
        (b"prompt,response\nQ,A\0\n", "a.csv", r"^a\.csv holds null bytes \(line 2\)"),
        (b"a\0b", "a.txt", r"^a\.txt holds null bytes \(character 2\)"),
        (b"\0" * 100, "a.jsonl", r"^a\.jsonl cannot be read: line 1 is not JSON"),
        ('{"prompt": "Q"}'.encode("utf-16-le"), "a.jsonl", r"line 1 is not JSON"),
        (b"\xe9" * 9, "a.json", r"^a\.json is not UTF-8 \(byte 1\)"),
        (b"[" * 200_000, "a.jsonl", r"lists nested too deeply"),
        (b'{"prompt":' * 200_000, "a.json", r"lists nested too deeply"),
        (b"[" * (9 * MB), "a.jsonl", r"line 1 is longer than 8 MB"),
        (b",".join(b"c%d" % n for n in range(100_000)) + b"\n1,2\n", "a.csv", r"^a\.csv has 100,000 columns, more than the 2,000"),
        (b"x" * (9 * MB), "a.csv", r"^a\.csv, line 1, is longer than 8 MB"),
        (b'prompt,response\nQ,"' + (b"A" * 999 + b"\n") * (9 * 1024), "a.csv", r"^a\.csv is not CSV near line \d+ \(field larger"),
        (json.dumps([dict.fromkeys(map(str, range(100_000)), "x")]).encode(), "a.json", r"^a\.json has the columns '0', .* and 99980 more"),
        (json.dumps({"prompt": "Q", "response": "A"} | dict.fromkeys(map(str, range(9_999)))).encode(), "a.jsonl", r"10,001 columns"),
        (b"", "a.parquet", r"^a\.parquet is not a Parquet file"),
        (GOOD, "a.parquet", r"^a\.parquet is not a Parquet file \(it does not start with PAR1\)"),
        (b"PAR1", "a.parquet", r"was cut off"),
        (b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1", "a.parquet", r"^a\.parquet is a damaged Parquet file"),
        (b"PAR1" + b"\x15\x02\x19" * 50 + struct.pack("<I", 150) + b"PAR1", "a.parquet", r"^a\.parquet is a damaged Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says(content, name, message):
    assert re.search(message, refused(content, name))


def test_an_upload_of_300_mb_is_refused_and_a_path_is_not(tmp_path):
    assert refused(bytes(300 * MB), "a.jsonl").startswith(
        "a.jsonl has 300.0 MB, more than the 200 MB taken here; put it on"
    )
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(300 * MB)
    assert refused(path, max_bytes=100 * MB).startswith("a.jsonl has 300.0 MB, more than the 100 MB")
    dataset = open_dataset(path)
    assert len(list(dataset.items())) == 1
    assert [problem.reason for problem in dataset.problems] == ["longer than 8 MB"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/cron.d/x", "x has an ending"),
        ("..\\..\\x.exe", "x.exe has an ending"),
        ("a\0b.jsonl\0.exe", "ab.jsonl.exe has an ending"),
        ("a\nb\r.html", "ab.html has an ending"),
        ("x" * 10_000, "xxx"),
        ("\u202egnp.lnosj\u2066.exe", "gnp.lnosj.exe has an ending"),
        ("\u202e\0\n", "the file has an ending"),
        ("", "the file has an ending"),
    ],
)
def test_hostile_names_are_shown_harmless(name, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(GOOD, name).startswith(shown)
    assert "no file" in (said := refused(name)) or "No data set" in said
    good = f"../{name}/\u202ea\0b\n.jsonl" if len(name) < 100 else name + ".jsonl"
    dataset = open_dataset(GOOD, good)
    assert (
        dataset.name.endswith(".jsonl")
        and dataset.name.isprintable()
        and "/" not in dataset.name
        and len(dataset.name) <= 80
    )
    assert list(tmp_path.iterdir()) == []


def test_formula_cells_stay_text():
    content = b'prompt,response\n=1+1,"=HYPERLINK(""x"")"\n@a,+1\n'
    assert [(item.prompt, item.candidates[0].response) for item in open_dataset(content, "a.csv").items()] == [
        ("=1+1", '=HYPERLINK("x")'),
        ("@a", "+1"),
    ]


def test_a_special_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    assert refused(tmp_path / "a.jsonl") == "a.jsonl is neither a file nor a folder; give a file of rows."


def nested(depth):
    kind, value = pa.string(), "x"
    for _ in range(depth):
        kind, value = pa.struct([("a", kind)]), {"a": value}
    return pa.table({"prompt": pa.array([value], kind), "response": ["A"]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (nested(40), r"nests its columns more than 32 deep"),
        (nested(5), r"looks like prompt and response, but .* \(line 1: prompt is an object, expected text\)"),
        (pa.table({"prompt": [[[["Q"]]]], "response": ["A"]}), r"line 1: prompt is a list, expected messages"),
        (pa.table({"prompt": ["Q"], "response": [b"\xff\xfe"]}), r"line 1: response is binary data, expected text"),
        (pa.table({"prompt": ["Q"], "chosen": [[{"a": {"b": [1]}}]], "rejected": [{"role": "x"}]}), r"chosen is a list, expected"),
        (pa.table({"prompt": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())), "response": ["A"]}), r"a list, expected"),
        (pa.table({"prompt": pa.nulls(3), "response": pa.nulls(3)}), r"has the columns 'prompt', 'response', which fit no known schema"),
        (pa.table({"a": [1.5]}), r"has the columns 'a', which fit no known schema"),
        (pa.table({f"c{n}": [0] for n in range(3000)}), r"has 3,000 columns, more than the 2,000"),
        (pa.table({"prompt": pa.array([], pa.string())}), r"holds no rows"),
        (pa.table({"\u202ea\n": ["x"]}), r"has the columns '\\u202ea\\n', which"),
    ],
)  # fmt: skip
def test_parquet_with_nonsense_in_it(table, message):
    assert re.search(message, refused(parquet(table), "a.parquet"))


def test_one_value_that_is_not_text_does_not_cost_the_batch():
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(struct.pack("<4i", 0, 1, 3, 4)), pa.py_buffer(b"A\xff\xfeB")]
    )
    dataset = open_dataset(parquet(pa.table({"prompt": ["Q"] * 3, "response": texts})), "a.parquet")
    assert [item.line for item in dataset.items()] == [1, 3]
    [problem] = dataset.problems
    assert problem.line == 2 and "cannot be read" in problem.reason


def test_a_parquet_file_cut_off_or_overwritten_in_the_middle_is_refused_not_read_wrong():
    rows = [{"prompt": str(n), "response": os.urandom(500).hex()} for n in range(500)]
    content = parquet(pa.Table.from_pylist(rows), write_page_checksum=True)
    assert "was cut off (its end is missing)" in refused(content[: len(content) // 2], "a.parquet")
    middle = len(content) // 2
    damaged = content[:middle] + b"\xff" * 5000 + content[middle + 5000 :]
    assert re.search(r"is damaged after row [\d,]+", refused(damaged, "a.parquet"))


def repeated(value, rows):
    """A file little larger than one value, which its dictionary repeats in every row."""
    responses = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [value])
    return pa.table({"prompt": ["Q"] * rows, "response": responses})


def one_list_of_nulls(length):
    """One row whose list takes no space in the file."""
    responses = pa.ListArray.from_arrays([0, length], pa.nulls(length, pa.string()))
    return pa.table({"prompt": ["Q"], "responses": responses})


LIMITED = """
import resource, sys
from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.formats import Content, rows_of
from redviz.errors import RedvizError
import pyarrow.parquet
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
try:
    print(sum(1 for item in open_dataset(sys.argv[1], limit=3).items()))
except RedvizError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (lambda: repeated(os.urandom(4 * MB).hex(), 800), "3"),
        (lambda: one_list_of_nulls(20_000_000), "refused: a.parquet has lists of more than 1,000 entries"),
    ],
    ids=["dictionary", "nulls"],
)
def test_a_parquet_bomb_stays_small(table, said, tmp_path):
    (tmp_path / "a.parquet").write_bytes(parquet(table()))
    result = subprocess.run([sys.executable, "-c", LIMITED, tmp_path / "a.parquet"], capture_output=True, text=True)
    assert result.stdout.startswith(said), result.stdout + result.stderr[-2000:]


def test_json_that_is_held_whole_has_a_bound_and_takes_no_room_twice(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + b" " * 33 * MB + b"]")
    assert re.search(r"^a\.json has 33 MB, .* read whole, up to 32 MB; save it as JSONL", refused(path))
    (tmp_path / "a.txt").write_bytes(b"x" * 33 * MB)  # one text takes no more than itself
    assert open_dataset(tmp_path / "a.txt").rows == 1
    content = Content(b"[" + b"1," * 300_000 + b"1]", "b.json")
    tracemalloc.start()
    rows = rows_of(content, ())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.count == 300_001 and next(rows.read()) == next(rows.read()) == (1, 1)
    assert held < 16 * rows.count  # eight bytes a place in the list, and no pair of line and row beside it
