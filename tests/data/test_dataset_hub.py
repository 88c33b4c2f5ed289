"""Data sets of the Hub through its own cache, offline: the layout that huggingface_hub writes, links and all."""

import gzip
import hashlib
import json
from types import SimpleNamespace

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants, errors
from huggingface_hub.utils import filter_repo_objects

from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError

SHA = "a" * 40


def pair(text):
    return {"prompt": text, "chosen": "A", "rejected": "B"}


def written(name, text):
    """The bytes of a file with one row whose prompt is ``text``, in the format of its name."""
    if name.endswith(".parquet"):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([pair(text)]), sink)
        return sink.getvalue().to_pybytes()
    if name.endswith(".csv"):
        return f"prompt,chosen,rejected\n{text},A,B\n".encode()
    content = json.dumps([pair(text)] if name.endswith(".json") else pair(text)).encode()
    return gzip.compress(content) if name.endswith(".gz") else content


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Puts files into the snapshot of owner/name; each row's prompt is its file's name. No network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "datasets--owner--name"

    def place(names, readme=""):
        (repo / "blobs").mkdir(parents=True)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(SHA)
        contents = {name: written(name, name) for name in names} | {"README.md": readme.encode()}
        for name, content in contents.items():
            blob = repo / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            link = repo / "snapshots" / SHA / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        return repo / "snapshots" / SHA

    return place


def prompts(dataset):
    return [item.prompt for item in dataset.items()]


README = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: ["data/train-*", "../../../secret.jsonl", "/etc/*.json"]
  - split: test
    path: more/held_out.jsonl
- config_name: other
  data_files: other.csv
---
# Name
"""
SHARDS = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"]
PARTS = ["base/train.jsonl.gz", "base/test.jsonl.gz", "online/train.jsonl.gz"]


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        (SHARDS, "owner/name", SHARDS[:2]),
        (SHARDS, "owner/name:test", SHARDS[2:]),
        (["train.parquet", "train.jsonl", "dataset_infos.json", "notes.txt"], "owner/name", ["train.parquet"]),
        (["test.jsonl"], "owner/name", ["test.jsonl"]),
        (["pairs.json"], "owner/name:train", ["pairs.json"]),
        (["data/train_prefs-00000-of-00001.parquet", "data/test_prefs-00000-of-00001.parquet"], "owner/name:test_prefs",
         ["data/test_prefs-00000-of-00001.parquet"]),
        (PARTS, "owner/name/base:test", ["base/test.jsonl.gz"]),
        (PARTS, "owner/name/online", ["online/train.jsonl.gz"]),
        (["en/train/0000.parquet", "en/test/0000.parquet"], "owner/name/en:test", ["en/test/0000.parquet"]),
    ],
)  # fmt: skip
def test_the_files_of_a_split_are_found_by_their_names(put, files, name, expected):
    folder = put(files)
    dataset = open_dataset(name)
    assert dataset.name == name
    assert prompts(dataset) == expected
    assert [item.line for item in dataset.items()] == (
        [1, 2] if len(expected) == 2 else [expected[0].endswith(".csv") + 1]
    )
    if name == "owner/name":
        local = open_dataset(folder)
        assert prompts(local) == expected
        assert local.fingerprint == dataset.fingerprint


def test_a_readme_that_states_its_files_is_followed_but_not_out_of_the_folder(put):
    folder = put([*SHARDS, "more/held_out.jsonl", "other.csv"], README)
    (folder.parents[3] / "secret.jsonl").write_text(json.dumps(pair("secret")))
    assert prompts(open_dataset("owner/name")) == SHARDS[:2]
    assert prompts(open_dataset("owner/name:test")) == ["more/held_out.jsonl"]
    assert prompts(open_dataset("owner/name/other")) == ["other.csv"]


def test_a_readme_that_is_broken_states_nothing(put):
    put(["train.jsonl"], "---\nconfigs: [\n---\n")
    assert prompts(open_dataset("owner/name")) == ["train.jsonl"]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        (SHARDS, "owner/name:dev", r"owner/name:dev has no split 'dev', but 'test', 'train'; name one"),
        (PARTS, "owner/name", r"has files in 'base', 'online'; name a folder"),
        (PARTS, "owner/name/no", r"has no files in a folder 'no'"),
        (
            ["train_sft.jsonl", "train_prefs.jsonl"],
            "owner/name",
            r"has the splits 'train_prefs', 'train_sft'; name one",
        ),
        (["weights.bin"], "owner/name", r"holds none of \.parquet"),
        ([], "owner/else", r"^owner/else is not in the local Hub cache .*; download it first"),
        ([], "not here.jsonl", r"is no file on this machine, nor a Hub id"),
        ([], "owner/name/a/b", r"is no file on this machine, nor a Hub id"),
        ([], " ", r"^No data set was named"),
    ],
)
def test_what_is_not_there_says_what_is(put, files, name, message):
    put(files)
    with pytest.raises(RedvizError, match=message) as caught:
        open_dataset(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.GatedRepoError("gated", response=SimpleNamespace(status_code=403, headers={}, request=None)), "is gated"),
        (errors.RepositoryNotFoundError("no", response=SimpleNamespace(status_code=404, headers={}, request=None)), "no data set on"),
        (OSError("disk full"), "could not be fetched"),
    ],
)  # fmt: skip
def test_what_the_hub_answers_becomes_a_sentence(monkeypatch, error, said):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(RedvizError, match=said):
        open_dataset("owner/name")


def test_only_what_a_readme_names_is_fetched(monkeypatch, put):
    folder = put([*SHARDS, "other.csv"], README)
    asked = []

    def fetch(repo, repo_type, revision, allow_patterns):
        asked.append((repo, repo_type, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    open_dataset("owner/name/other")
    assert asked == [("owner/name", "dataset", None, ["README.md"]), ("owner/name", "dataset", SHA, ["other.csv"])]


@pytest.mark.parametrize(
    ("files", "name", "fetched"),
    [
        (SHARDS, "owner/name:test", ["data/test-*-of-00001.parquet"]),
        (SHARDS, "owner/name", ["data/train-*-of-00002.parquet"]),
        (PARTS, "owner/name/online", ["online/train.jsonl.gz"]),
        ([f"{split}.{ending}" for split in ("train", "test") for ending in ("csv", "parquet")], "owner/name:test", ["test.parquet"]),
    ],
)  # fmt: skip
def test_only_the_split_asked_for_is_fetched(monkeypatch, put, files, name, fetched):
    """The Hub lists all files; the cache gets those of the split and nothing else."""
    folder = put(files)
    hidden = {path: (folder / path).readlink() for path in files}
    for path in files:
        (folder / path).unlink()
    asked = []

    def fetch(repo, repo_type, revision, allow_patterns):
        asked.append(allow_patterns)
        for path in filter_repo_objects(hidden, allow_patterns=allow_patterns):
            (folder / path).symlink_to(hidden[path])
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.setattr(
        huggingface_hub.HfApi, "list_repo_files", lambda self, repo, *, repo_type, revision: list(hidden)
    )
    assert [item.prompt for item in open_dataset(name).items()]
    assert asked == [["README.md"], fetched]


def test_a_split_that_is_not_there_is_said_before_anything_is_fetched(monkeypatch, put):
    folder, asked = put(SHARDS), []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: asked.append(k) or str(folder))
    with pytest.raises(RedvizError, match="has no split 'dev'"):
        open_dataset("owner/name:dev")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data/**/*.jsonl", ["data/a.jsonl", "data/en/b.jsonl"]),
        ("**/b.*", ["data/en/b.jsonl"]),
        ("./data/[ab].jsonl", ["data/a.jsonl"]),
        ("data/**.jsonl", None),
        ("**data/*", None),
    ],
)
def test_patterns_of_a_readme(put, pattern, expected):
    put(["data/a.jsonl", "data/en/b.jsonl", "c.jsonl"], f"---\nconfigs:\n- data_files: '{pattern}'\n---\n")
    if expected:
        assert prompts(open_dataset("owner/name")) == expected
    else:
        with pytest.raises(RedvizError, match=r"The README of owner/name names .* \*\* stands for whole folders alone"):
            open_dataset("owner/name")
