"""Result files: pages equal what a table in memory gives, hostile and damaged files are one sentence, threads share one file."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import redviz.data.results.result_index as result_index
from redviz.data.results.result_files import ANY_ROW, Where, open_results
from redviz.data.results.result_index import KEYS
from redviz.data.results.rows import schema
from redviz.errors import RedvizError

COUNT = 600


@pytest.fixture(autouse=True)
def fresh_home(tmp_path, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def made_rows(count=COUNT):
    """Two labels of two responses of each example; every seventh example failed on its rejected side; some scores are equal."""
    random = np.random.default_rng(0)
    scores = random.normal(size=count).round(1).tolist()
    rows = []
    for n in range(count):
        example, role, label = n // 4, ("chosen", "rejected")[n // 2 % 2], ("red", "abc")[n % 2]
        length = 1 + n // 2 % 5
        failed = example % 7 == 0 and role == "rejected"
        row = dict.fromkeys(schema().names) | {
            "example_id": f"e{example}",
            "response_id": role if example % 5 else str(n // 2 % 2 + 1),
            "prompt": json.dumps([{"role": "user", "content": f'Say "no {example}"\nor Ünï?'}], ensure_ascii=False),
            "response": f"Response {n // 2} is {'GOOD' if n % 3 else 'bad'}",
            "tokens": [] if failed else ["t"] * length,
            "token_ids": [] if failed else list(range(length)),
            "offsets": [] if failed else [[0, 1]] * length,
            "prefix_scores": [] if failed else random.random(length + 1).astype(np.float32).tolist(),
            "credits": [] if failed else random.normal(0, 1, length).astype(np.float32).tolist(),
            "score": None if failed else scores[n // 2],
            "error": "too long" if failed else None,
            "label": None if failed else label,
            "truncated": n % 2,
        }
        rows.append(row)
    return rows


def write(path, rows, given=None, **options):
    given = given or schema()
    pq.write_table(pa.Table.from_pylist(rows, schema=given), path, row_group_size=options.pop("row_group_size", 50))
    return path


@pytest.fixture
def rows():
    return made_rows()


@pytest.fixture
def results(tmp_path, rows):
    return open_results(write(tmp_path / "scores.parquet", rows))


def sorted_rows(rows, key, descending):
    """Brute force: known keys in order, ties in file order."""
    known = [n for n, row in enumerate(rows) if key(row) is not None]
    sign = -1 if descending else 1
    return sorted(known, key=lambda n: (sign * key(rows[n]), n))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["score", "largest", "length"])
def test_pages_in_order_are_those_of_a_table_in_memory(results, rows, order, descending):
    keys = {
        "score": lambda row: row["score"],
        "largest": lambda row: max(map(abs, row["credits"])) if row["credits"] else None,
        "length": lambda row: len(row["tokens"]),
    }
    expected = sorted_rows(rows, keys[order], descending)
    rest = [n for n in range(COUNT) if n not in set(expected)]
    found = []
    for offset in range(0, COUNT, 100):
        found += results.page(order=order, descending=descending, offset=offset, limit=100)
    assert [row["row"] for row in found] == expected + rest
    for row in found[::37]:
        original = rows[row["row"]]
        assert all(row[name] == original[name] for name in original)
    assert results.page(offset=COUNT) == []


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        (Where(labels=("red",)), lambda row: row["label"] == "red"),
        (Where(score=(0.0, 0.5)), lambda row: row["score"] is not None and 0.0 <= row["score"] <= 0.5),
        (Where(score=(None, -1.0)), lambda row: row["score"] is not None and row["score"] <= -1.0),
        (Where(errors_only=True), lambda row: row["error"] is not None),
        (Where(pairs_only=True), lambda row: int(row["example_id"][1:]) % 5 != 0),
        (Where(text="gOOd"), lambda row: "GOOD" in row["response"]),
        (
            Where(text='"no 7"\nor üNÏ'),
            lambda row: row["example_id"] == "e7",
        ),  # as people read it, not as JSON writes it
        (Where(text="user"), lambda row: False),  # a key's value of the JSON, not of the conversation
        (Where(text="'; DROP TABLE x; --"), lambda row: False),
        (Where(text="Response %"), lambda row: False),  # no pattern
        (Where(labels=("red' OR TRUE --",)), lambda row: False),
        (Where(examples=("e3", "e9")), lambda row: row["example_id"] in ("e3", "e9")),
        (
            Where(text="bad", labels=("abc", "red"), score=(0, None), pairs_only=True),
            lambda row: (
                "bad" in row["response"]
                and row["score"] is not None
                and row["score"] >= 0
                and int(row["example_id"][1:]) % 5 != 0
            ),
        ),
    ],
)
def test_filters_keep_what_they_say(results, rows, where, keeps):
    expected = [n for n, row in enumerate(rows) if keeps(row)]
    assert results.count(where) == len(expected)
    assert [row["row"] for row in results.page(where, limit=COUNT, columns=())] == expected


def test_margins_choices_and_responses(results, rows):
    scores = {(row["example_id"], row["response_id"]): row["score"] for row in rows}
    for row in results.page(limit=COUNT, columns=()):
        both = [scores.get((row["example_id"], role)) for role in ("chosen", "rejected")]
        expected = None if None in both else pytest.approx(both[0] - both[1])
        assert row["margin"] == expected or int(row["example_id"][1:]) % 5 == 0
    labels = [row["label"] for row in rows]
    assert results.choices("label") == {label: labels.count(label) for label in ("abc", "red")}
    frame = results.responses(Where(pairs_only=True))
    assert len(frame) == COUNT // 2 - COUNT // 2 // 5
    assert not frame.duplicated(["example_id", "response_id"]).any()
    assert frame["row"].is_monotonic_increasing


def test_histogram_is_numpys(results, rows):
    scores = np.array([row["score"] for row in rows if row["score"] is not None])
    found = results.histogram("score", 13)
    counts, edges = np.histogram(scores, 13)
    assert found.counts.tolist() == counts.tolist() and found.edges.tolist() == edges.tolist()
    assert found.missing == COUNT - len(scores)
    nothing = results.histogram("score", 4, Where(text="nowhere"))
    assert nothing.counts.tolist() == [0] * 4 and nothing.missing == 0


def test_one_row_and_what_is_out_of_range(results, rows):
    found = results.row(123)
    assert found["row"] == 123 and found["credits"] == rows[123]["credits"] and found["offsets"] == rows[123]["offsets"]
    for call, words in (
        (lambda: results.row(COUNT), "its rows are 0 to 599"),
        (lambda: results.row(-1), "no row -1"),
        (lambda: results.page(order="score; DROP"), "cannot be ordered"),
        (lambda: results.page(columns=["credits", "x y"]), "no column 'x y'"),
        (lambda: results.page(limit=10**9), "out of range"),
        (lambda: results.page(offset=-1), "out of range"),
        (lambda: results.histogram("prompt"), "no histogram"),
        (lambda: results.histogram("score", 10**9), "out of range"),
        (lambda: results.choices("prompt"), "no list of values"),
        (lambda: results.count(Where(score=(float("nan"), None))), "not a number"),
    ):
        with pytest.raises(RedvizError, match=words):
            call()


def test_only_the_row_groups_of_the_page_are_read(tmp_path, rows):
    """Damage the credits of all other groups: a page of the second one must not notice."""
    path = write(tmp_path / "scores.parquet", rows)
    results = open_results(path)
    metadata = pq.read_metadata(path)
    spoilt = bytearray(path.read_bytes())
    for group in range(metadata.num_row_groups):
        if group != 1:
            column = metadata.row_group(group).column(metadata.row_group(group).num_columns - 5)
            assert column.path_in_schema.startswith("credits")
            start = column.dictionary_page_offset or column.data_page_offset
            spoilt[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    stat = path.stat()
    path.write_bytes(spoilt)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert [row["row"] for row in results.page(offset=50, limit=50)] == list(range(50, 100))
    with pytest.raises(RedvizError, match="scores.parquet cannot be read"):
        results.page(offset=40, limit=20)


def test_the_index_is_built_once_and_found_again(tmp_path, rows, monkeypatch, fresh_home):
    path = write(tmp_path / "scores.parquet", rows)
    first = open_results(path)
    monkeypatch.setattr(result_index, "_write_index", lambda *given: pytest.fail("built twice"))
    again = open_results(path)
    assert again.page(order="score", limit=5) == first.page(order="score", limit=5)
    assert os.listdir(fresh_home / "cache" / "results") == [first.index.name]


def test_a_spoilt_index_is_built_again(tmp_path, rows):
    path = write(tmp_path / "scores.parquet", rows)
    index = open_results(path).index
    index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    assert open_results(path).count() == COUNT


def test_a_file_that_changes_is_noticed(tmp_path, rows):
    path = write(tmp_path / "scores.parquet", rows)
    results = open_results(path)
    write(path, rows[:100])
    with pytest.raises(RedvizError, match="was changed since it was opened"):
        results.page()
    assert open_results(path).total == 100
    path.unlink()
    with pytest.raises(RedvizError, match="cannot be opened"):
        results.count()


def test_a_folder_of_parts_reads_as_one_file(tmp_path, rows):
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, (start, stop) in enumerate(((0, 170), (170, 170), (170, 431), (431, COUNT))):
        write(folder / f"{part:05}.parquet", rows[start:stop])
    (folder / "00009.parquet.partial").write_bytes(b"being written")
    whole = open_results(write(tmp_path / "whole.parquet", rows))
    parts = open_results(folder)
    assert parts.total == COUNT and parts.name == "parts"
    for asked in ({}, {"order": "score", "descending": True}, {"where": Where(text="bad"), "offset": 60}):
        assert parts.page(**asked) == whole.page(**asked)
    assert parts.row(431) == whole.row(431)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RedvizError, match="folder without"):
        open_results(empty)


NAMES = [
    "a*b.parquet",
    "what?.parquet",
    "a[1].parquet",
    "q'; DROP TABLE x; --.parquet",
    'double".parquet',
    "line\nbreak \x1b[31m.parquet",
    "label=zzz",  # a folder named like a partition of Hive's
    "~home.parquet",
    "{a,b}.parquet",
    "مرحبا 👍.parquet",
    "s3:",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(tmp_path, rows, name):
    write(tmp_path / "aXb.parquet", rows[:7])  # what the patterns would match
    write(tmp_path / "whatX.parquet", rows[:7])
    write(tmp_path / "a1.parquet", rows[:7])
    path = tmp_path / name
    if not name.endswith(".parquet"):
        path.mkdir()
        path = path / "x.parquet"
    results = open_results(write(path, rows))
    assert results.count() == COUNT
    assert [row["label"] for row in results.page(limit=COUNT)] == [row["label"] for row in rows]
    assert results.name.isprintable()


def test_a_name_that_cannot_be_told_from_a_pattern_is_refused(tmp_path, rows):
    with pytest.raises(RedvizError, match="rename it"):
        open_results(write(tmp_path / "a\\*.parquet", rows))


def test_a_home_with_a_hostile_name(tmp_path, rows, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "h*o'm?e [1]"))
    assert open_results(write(tmp_path / "scores.parquet", rows)).count(Where(text="bad")) == 200


def with_field(name, kind):
    fields = [pa.field(name, kind) if field.name == name else field for field in schema()]
    return pa.schema(fields, metadata=schema().metadata)


NESTED = pa.list_(pa.struct([("a", pa.map_(pa.string(), pa.list_(pa.list_(pa.int8()))))]))


def test_files_of_another_kind_are_one_sentence(tmp_path, rows, fresh_home):
    empty = pa.Table.from_pylist([], schema=schema())
    cases = {
        "not there": (None, "No such file"),
        "text": (b"prompt,response\n", "not a whole Parquet file"),
        "nothing": (b"", "not a whole Parquet file"),
        "marks": (b"PAR1" + b"\xff" * 40 + (36).to_bytes(4, "little") + b"PAR1", "damaged"),
        "long": (b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1", "not a whole Parquet file"),
        "foreign": (pa.table({"prompt": ["a"]}), "no result file of redviz"),
        "version": (empty.replace_schema_metadata({"schema_version": "99"}), "schema_version '99'"),
        "lacking": (empty.drop_columns(["credits"]), "no column 'credits'"),
        "nested": (pa.Table.from_pylist([], schema=with_field("credits", NESTED)), "has credits as list"),
        "texts": (pa.Table.from_pylist([], schema=with_field("score", pa.string())), "has score as string"),
        "doubled": (empty.append_column("score", pa.array([], pa.float64())), "'score' twice"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / f"{name}.parquet"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            pq.write_table(content, path)
        with pytest.raises(RedvizError, match=words) as found:
            open_results(path)
        assert "\n" not in str(found.value) and len(str(found.value)) < 400
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(RedvizError, match="not a file"):
        open_results(tmp_path / "pipe.parquet")


def test_cut_and_spoilt_files_never_give_wrong_rows(tmp_path, rows):
    whole = write(tmp_path / "scores.parquet", rows).read_bytes()
    truth = open_results(tmp_path / "scores.parquet").page(limit=COUNT)
    random = np.random.default_rng(0)
    refused = 0
    for n in range(30):
        spoilt = bytearray(whole)
        if n < 10:
            spoilt = spoilt[: random.integers(1, len(whole))]
        else:
            start = int(random.integers(len(whole) // 2, len(whole) - 60))
            spoilt[start : start + 40] = random.bytes(40)
        path = tmp_path / f"{n}.parquet"
        path.write_bytes(spoilt)
        try:
            found = open_results(path).page(limit=COUNT)
            assert len(found) == len(truth)
        except RedvizError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused >= 10  # every cut file


def test_files_without_later_columns_and_with_a_subset(tmp_path, rows):
    older = pa.schema([field for field in schema() if field.name not in ("meta", "subset")], schema().metadata)
    plain = open_results(
        write(tmp_path / "older.parquet", [{name: r[name] for name in older.names} for r in rows], older)
    )
    assert "meta" not in plain.columns and "subset" not in plain.columns
    assert plain.page(limit=1)[0]["subset"] is None and plain.choices("subset") == {}
    given = [row | {"subset": "chat" if n < 100 else "code"} for n, row in enumerate(rows)]
    results = open_results(write(tmp_path / "named.parquet", given))
    assert results.choices("subset") == {"code": 500, "chat": 100}
    assert results.count(Where(subsets=("chat",))) == 100
    assert results.page(limit=1)[0]["subset"] == "chat"


def test_numbers_that_are_none_come_last(tmp_path, rows):
    odd = [
        row | {"score": value} for row, value in zip(rows, (float("nan"), float("inf"), 1.0, None, -1.0), strict=False)
    ]
    results = open_results(write(tmp_path / "odd.parquet", odd))
    assert [row["row"] for row in results.page(order="score", descending=True)] == [2, 4, 0, 1, 3]
    assert results.histogram("score", 2).missing == 3
    assert open_results(write(tmp_path / "none.parquet", [])).page() == []


def test_many_threads_read_one_file(results):
    alone = [results.page(Where(text=word), order="score", offset=k) for word in ("good", "bad") for k in (0, 50, 100)]
    asked = [(Where(text=word), "score", False, k) for word in ("good", "bad") for k in (0, 50, 100)] * 5
    fresh = replace(results, _searches=type(results._searches)())
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda given: fresh.page(*given), asked))
    assert together == alone * 5


def test_reading_stays_within_its_memory(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(result_index, "MEMORY", "24MB")
    result_index._database.cache_clear()
    try:
        long = [row | {"response": "x" * 4_000_000 + str(n)} for n, row in enumerate(rows[:60])]
        path = write(tmp_path / "long.parquet", long, row_group_size=60)
        with pytest.raises(RedvizError, match="more than the 24MB"):
            open_results(path).page(Where(text="y"))
    finally:
        result_index._database.cache_clear()


def test_importing_redviz_leaves_duckdb_alone():
    code = "import sys, redviz, redviz.data.results.result_files; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_public_server_keeps_no_index(results, tmp_path, rows, monkeypatch, fresh_home):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    shown = open_results(write(tmp_path / "visit.parquet", rows))
    assert fresh_home not in shown.index.parents and shown.count(ANY_ROW) == COUNT
    assert set(KEYS) <= set(shown.row(0))


def test_a_file_whose_index_gave_way_to_later_ones_is_indexed_again(tmp_path, rows, monkeypatch):
    first = open_results(write(tmp_path / "first.parquet", rows))
    before = first.page(order="score", limit=5)
    monkeypatch.setattr(result_index, "KEPT_INDEXES", 1)
    open_results(write(tmp_path / "second.parquet", rows[:100]))
    assert not first.index.exists()
    assert first.count() == COUNT and first.page(order="score", limit=5) == before
