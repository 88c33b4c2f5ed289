"""Whatever `datasets` writes, in its own layouts, with the library itself: folders of shards, of splits, caches and exports."""

import json

import pyarrow as pa
import pytest

from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError

ROWS = [
    {
        "prompt": f"Q{n}",
        "chosen": [{"role": "assistant", "content": f"A{n}, it's so."}],
        "rejected": [{"role": "assistant", "content": "B"}],
    }
    for n in range(5)
]


@pytest.fixture(scope="module")
def datasets():
    import datasets

    datasets.disable_progress_bars()
    return datasets


@pytest.fixture
def given(datasets):
    return datasets.Dataset.from_list(ROWS)


def read(path, **options):
    dataset = open_dataset(path, **options)
    items = [(item.prompt, item.candidates[0].response) for item in dataset.items()]
    assert dataset.problems == []
    return dataset, items


ALL = [(row["prompt"], row["chosen"][0]["content"]) for row in ROWS]


def test_a_saved_folder_is_read_shard_after_shard_as_its_state_says(given, tmp_path):
    given.save_to_disk(tmp_path / "saved", num_shards=3)
    (tmp_path / "saved" / "cache-1234.arrow").write_bytes(b"no shard")
    dataset, items = read(tmp_path / "saved")
    assert (items, dataset.rows, dataset.detected.schema) == (ALL, 5, "preference")
    assert dataset.fingerprint == open_dataset(str(tmp_path / "saved"), whole=True).fingerprint
    state = json.loads((tmp_path / "saved" / "state.json").read_text())
    state["_data_files"].reverse()
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    assert read(tmp_path / "saved")[1] == [*ALL[4:], *ALL[2:4], *ALL[:2]]
    [first] = open_dataset(tmp_path / "saved", limit=1).items()
    assert first.prompt == "Q4"


def test_a_saved_dictionary_of_splits(datasets, given, tmp_path):
    datasets.DatasetDict({"train": given, "test": given.select([3])}).save_to_disk(tmp_path / "saved")
    assert read(tmp_path / "saved")[1] == ALL
    assert read(tmp_path / "saved" / "test")[1] == ALL[3:4]
    datasets.DatasetDict({"good": given, "bad": given}).save_to_disk(tmp_path / "named")
    with pytest.raises(RedvizError, match="named has the splits 'good', 'bad'; open the folder of one of them"):
        open_dataset(tmp_path / "named")
    datasets.DatasetDict({"good": given.select([4, 0])}).save_to_disk(tmp_path / "one")
    assert read(tmp_path / "one")[1] == [ALL[4], ALL[0]]


def test_exports_and_shards_of_parquet(given, tmp_path):
    given.to_json(tmp_path / "a.json")
    given.to_csv(tmp_path / "a.csv")
    given.to_parquet(tmp_path / "a.parquet")
    for file in sorted(tmp_path.iterdir()):
        assert read(file)[1] == ALL
    for n in range(2):
        folder = tmp_path / "shards" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        given.shard(2, n).to_parquet(folder / f"train-0000{n}-of-00002.parquet")
    (tmp_path / "shards" / "dataset_info.json").write_text("{}")
    (tmp_path / "shards" / "dataset_dict.json").mkdir()  # not the file that save_to_disk writes
    assert read(tmp_path / "shards")[1] == ALL


CALLS = [
    {
        "messages": [
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": given}}]},
            {"role": "tool", "content": "x"},
            {"role": "assistant", "content": "A"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    for given in ({"a": 1}, {"b": "z"})
]


def test_calls_are_what_they_were_before_arrow_gave_every_row_the_keys_of_all(datasets, tmp_path):
    lines = "\n".join(json.dumps(row) for row in CALLS)
    (tmp_path / "a.jsonl").write_text(lines)
    prompts = [item.prompt for item in open_dataset(tmp_path / "a.jsonl").items()]
    assert [prompt[1]["tool_calls"][0]["function"]["arguments"] for prompt in prompts] == [{"a": 1}, {"b": "z"}]
    datasets.Dataset.from_list(CALLS).save_to_disk(tmp_path / "structs")
    # Loaded from JSON, messages of several shapes are kept as JSON text of Arrow's own type.
    loaded = datasets.load_dataset("json", data_files=str(tmp_path / "a.jsonl"), cache_dir=str(tmp_path / "cache"))
    loaded["train"].to_parquet(tmp_path / "texts.parquet")
    for path in ("structs", "cache", "texts.parquet"):
        assert [item.prompt for item in open_dataset(tmp_path / path).items()] == prompts


def test_arrow_in_its_file_format_and_what_is_none(given, tmp_path):
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    dataset, items = read(tmp_path / "a.arrow", whole=True)
    assert (items, dataset.rows, dataset.examples) == (ALL, 5, 10)
    (tmp_path / "b.arrow").write_bytes(b"prompt,chosen,rejected\n")
    with pytest.raises(RedvizError, match=r"^b\.arrow is not an Arrow file"):
        open_dataset(tmp_path / "b.arrow")
    given.save_to_disk(tmp_path / "saved")
    [shard] = (tmp_path / "saved").glob("*.arrow")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(RedvizError, match=rf"^{shard.name} is damaged after row 0"):
        open_dataset(tmp_path / "saved")
    with pytest.raises(RedvizError, match="is not read from an upload; open it by its path"):
        open_dataset(whole, "a.arrow")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a21" * 10 + "abcd\nsize 134217728\n"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data-00000-of-00001.arrow", POINTER, r"data-00000-of-00001\.arrow is a Git LFS pointer"),
        ("data-00000-of-00001.arrow", None, r"saved lacks 'data-00000-of-00001\.arrow', which its state\.json names"),
        ("state.json", POINTER, r"saved/state\.json is a Git LFS pointer"),
        ("state.json", "[]", r"state\.json of saved is no JSON object; save the data set again\."),
        ("state.json", "{}", r"state\.json of saved names no data files; save the data set again\."),
        ("state.json", '{"_data_files": [{"filename": "../../x"}]}', r"saved lacks 'x', which"),
        ("state.json", '{"_data_files": ["a"], "_indices_data_files": ["b"]}', r"by an index; save it again after flatten_ind"),
        ("dataset_dict.json", '{"splits": []}', r"dataset_dict\.json of saved names no splits"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_is_one_sentence(given, tmp_path, file, content, message):
    given.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / file).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / "saved" / file).write_text(content)
    with pytest.raises(RedvizError, match=message):
        open_dataset(tmp_path / "saved")
