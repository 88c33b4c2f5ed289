"""Where a model's files are, and what they hold: embedded, a local folder, or the Hub's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from redviz.errors import RedvizError
from redviz.git_lfs import refuse_pointer
from redviz.settings import PACKAGE

EMBEDDED = PACKAGE / "embedded"
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")
CHUNK = 2**20
WHOLE = 256 * CHUNK  # files up to this size are hashed whole, larger ones by samples


def embedded_models() -> tuple[str, ...]:
    """Names of the models that ship inside redviz, as ``load_reward_model`` takes them."""
    return tuple(f"embedded:{folder.parent.name}" for folder in sorted(EMBEDDED.glob("*/config.json")))


def embedded_reward_models() -> tuple[str, ...]:
    """Those of :func:`embedded_models` that give a score (the others are policies)."""
    return tuple(
        name for name in embedded_models() if "SequenceClassification" in (resolve(name) / "config.json").read_text()
    )


def resolve(name: str, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """The local folder of a model; Hub ids are fetched into (or found in) the Hub's own cache.

    Pickled weights (``*.bin``) are fetched only where ``allow_pickle`` is set.
    ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` work as they do everywhere.

    Raises
    ------
    RedvizError
        Where there is no such model, or a file of its folder is a Git LFS pointer.
    """
    if not name.strip():
        raise RedvizError("No model was named; give embedded:sentiment, a folder, or a Hub id such as owner/model.")
    if name.startswith("embedded:"):
        folder = EMBEDDED / name.removeprefix("embedded:")
        if not (folder / "config.json").exists() or folder.parent != EMBEDDED:
            raise RedvizError(f"There is no {name}; redviz ships {', '.join(embedded_models())}.")
        return folder
    local = Path(name).expanduser()
    if local.is_dir():
        refuse_pointers(local, name)
        return local
    if local.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise RedvizError(f"{name} is no folder on this machine; check the path.")
    return _from_hub(name, revision, allow_pickle)


def refuse_pointers(folder: Path, name: str) -> None:
    """Refuse a folder in which a file that a model is read from is a Git LFS pointer."""
    for path in sorted({path for pattern in (*FILES, "*.bin") for path in folder.glob(pattern)}):
        refuse_pointer(path, f"{name}/{path.name}")


def _from_hub(name: str, revision: str | None, allow_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    patterns = [*FILES, "*.bin"] if allow_pickle else list(FILES)
    try:  # a * also stands for folders there, so weights in folders (other formats, training states) are named apart
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*.bin", "*/*.safetensors"]
            )
        )
    except HFValidationError as error:
        raise RedvizError(f"{name!r} is neither a folder nor a Hub id; a Hub id looks like owner/model.") from error
    except GatedRepoError as error:
        raise RedvizError(f"{name} is gated; accept its licence on the Hub and set HF_TOKEN.") from error
    except RevisionNotFoundError as error:
        raise RedvizError(f"{name} has no revision {revision!r}; check --revision.") from error
    except RepositoryNotFoundError as error:
        raise RedvizError(
            f"{name} is not on the Hub (or is private: set HF_TOKEN), and no such folder exists here."
        ) from error
    except LocalEntryNotFoundError as error:
        raise RedvizError(
            f"{name} is not in the local Hub cache and the Hub cannot be reached; download it first, or give a local folder."
        ) from error
    except OSError as error:
        raise RedvizError(
            f"{name} could not be fetched from the Hub ({type(error).__name__}); try again, or give a local folder."
        ) from error


def fingerprint(folder: Path) -> str:
    """A hash of the weights, config and tokenizer files: folders with one fingerprint give one score, as far as it looks.

    Files over 256 MiB are sampled: their size and one MiB of every 64 are hashed. Another training run changes every sample; an edit
    of a few weights between the samples is not seen. In the Hub's cache the blob's name is the hash of the whole file.
    """
    digest = hashlib.sha256()
    for path in sorted(
        p for pattern in ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model") for p in folder.glob(pattern)
    ):
        digest.update(path.name.encode())
        target = path.resolve()
        if target.parent.name == "blobs":
            digest.update(target.name.encode())
        else:
            _hash_file(digest, target)
    return digest.hexdigest()[:32]


def _hash_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as file:
        if size <= WHOLE:
            while block := file.read(CHUNK):
                digest.update(block)
        else:
            for at in range(0, size, 64 * CHUNK):
                file.seek(at)
                digest.update(file.read(CHUNK))
