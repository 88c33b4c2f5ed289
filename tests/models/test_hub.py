"""Hub ids through the Hub's own cache, offline: the layout that huggingface_hub writes, links and all."""

import hashlib
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import tiny
from huggingface_hub import constants, errors

from redviz.errors import RedvizError
from redviz.models.loading.files import fingerprint, resolve
from redviz.models.loading.load import load_reward_model

MAIN, OLD = "a" * 40, "b" * 40


def put(repo, revision, sha, checkpoint):
    """One snapshot of a repository as the Hub's cache holds it: links into blobs, and a ref with the commit."""
    snapshot = repo / "snapshots" / sha
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir(exist_ok=True)
    (repo / "refs").mkdir(exist_ok=True)
    (repo / "refs" / revision).write_text(sha)
    for path in checkpoint.iterdir():
        blob = repo / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(f"../../blobs/{blob.name}")
    return snapshot


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache with owner/model at two revisions, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--owner--model"
    put(repo, "main", MAIN, tiny.checkpoint())
    put(repo, "v1", OLD, tiny.checkpoint("Llama", "open"))
    return repo


def test_a_hub_id_loads_from_the_local_cache(hub):
    model = load_reward_model("owner/model", device="cpu")
    assert resolve("owner/model") == hub / "snapshots" / MAIN
    assert (model.name, model.source.revision) == ("owner/model", "")
    assert model.tokenizer.chat_template == tiny.CLOSED


@pytest.mark.parametrize("revision", ["v1", OLD])
def test_a_revision_is_the_one_asked_for(hub, revision):
    model = load_reward_model("owner/model", revision=revision, device="cpu")
    assert model.tokenizer.chat_template == tiny.OPEN
    assert model.source.revision == revision


def test_the_fingerprint_takes_the_names_of_the_blobs(hub):
    one, two = (fingerprint(hub / "snapshots" / sha) for sha in (MAIN, OLD))
    assert one != two
    weights = (hub / "snapshots" / MAIN / "model.safetensors").resolve()
    weights.write_bytes(b"")  # not read again: the name of a blob is its hash
    assert fingerprint(hub / "snapshots" / MAIN) == one


@pytest.mark.parametrize(("name", "revision"), [("owner/other", None), ("owner/model", "v2"), ("no-owner", None)])
def test_what_is_not_in_the_cache_says_so(hub, name, revision):
    with pytest.raises(RedvizError, match=f"^{name} is not in the local Hub cache .*; download it first.*\\.$"):
        load_reward_model(name, revision=revision, device="cpu")


def test_a_local_folder_of_the_same_name_comes_first(hub, tmp_path):
    shutil.copytree(tiny.checkpoint("Llama", "thinks"), tmp_path / "owner" / "model")
    assert load_reward_model("owner/model", device="cpu").tokenizer.chat_template == tiny.THINKS


def response(status):
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.GatedRepoError("gated", response=response(403)), "is gated; accept its licence"),
        (errors.RevisionNotFoundError("no", response=response(404)), "has no revision 'v9'"),
        (errors.RepositoryNotFoundError("no", response=response(404)), "is not on the Hub"),
        (OSError("disk full"), "could not be fetched"),
    ],
)
def test_what_the_hub_answers_becomes_a_sentence(monkeypatch, error, said):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(RedvizError, match=said) as caught:
        resolve("owner/model", "v9")
    assert "\n" not in str(caught.value)
