"""Data sets of the Hub, and folders laid out like them: which files hold a split of a configuration."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from redviz.data.sets.values import parsed, quoted
from redviz.errors import RedvizError
from redviz.git_lfs import refuse_pointer

HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<config>[\w.-]+))?(?::(?P<split>[\w.-]+))?", re.ASCII)
# The first that a split has is taken: they are copies.
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".csv", ".tsv", ".arrow")
SPLITS = ("train", "validation", "valid", "dev", "test", "eval")
NOT_ROWS = re.compile(r"dataset_(infos?|dict)\.json|state\.json|config\.json|cache-.*\.arrow|\..*|README.*")


def is_hub_id(name: str) -> bool:
    """Whether a text is written as ``owner/name[/config][:split]``."""
    return HUB_ID.fullmatch(name) is not None


def hub_files(name: str) -> tuple[Path, list[Path]]:
    """The folder of a data set in the Hub's own cache and the files of the split asked for, fetched where they are not there.

    Splits are told apart by the names alone, so nothing of the others is fetched.
    ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` work as they do everywhere.
    """
    parts = HUB_ID.fullmatch(name)
    if parts is None:
        raise RedvizError(
            f"{name[:80]!r} is no Hub data set; write owner/name, owner/name:split or owner/name/config:split."
        )
    repo, config, split = parts["repo"], parts["config"] or "", parts["split"] or ""
    folder = _snapshot(repo, ["README.md"])
    chosen = _chosen(_names_on_the_hub(repo, folder), _stated(folder), config, split, name)
    # All shards of a name, so that the Hub's library sees offline that one is missing.
    globs = sorted({re.sub(r"-\d{5}-of-", "-*-of-", glob.escape(path)) for path in chosen})
    folder = _snapshot(repo, globs, folder.name)
    return folder, [folder / path for path in chosen]


def files_of(folder: Path, config: str, split: str, name: str) -> list[Path]:
    """The files of one split in a folder: as ``save_to_disk`` or its README states them, else by their names."""
    if (saved := _saved(folder, split, name)) is not None:
        return saved
    return [folder / path for path in _chosen(_names_in(folder), _stated(folder), config, split, name)]


def _saved(folder: Path, split: str, name: str) -> list[Path] | None:
    """The shards that ``save_to_disk`` of ``datasets`` wrote, in their order; None where it is no folder of its."""
    if (kept := folder / "dataset_dict.json").is_file():
        splits = _stated_in(kept, "splits", name)
        chosen = split or ("train" if "train" in splits else splits[0] if len(splits) == 1 else "")
        if chosen not in splits:
            raise RedvizError(f"{name} has the splits {quoted(splits)}; open the folder of one of them.")
        return _saved(folder / PurePosixPath(chosen).name, "", name)
    if not (kept := folder / "state.json").is_file():
        return None
    if _json_of(kept, name).get("_indices_data_files"):
        raise RedvizError(f"{name} keeps its rows by an index; save it again after flatten_indices().")
    files = [folder / PurePosixPath(str(file)).name for file in _stated_in(kept, "_data_files", name)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise RedvizError(f"{name} lacks {quoted(missing, 5)}, which its state.json names; copy the whole folder.")
    return files


def _stated_in(kept: Path, key: str, name: str) -> list[str]:
    listed = _json_of(kept, name).get(key)
    found: list[Any] = [entry.get("filename") if isinstance(entry, dict) else entry for entry in listed or ()]
    if not found or not all(isinstance(entry, str) for entry in found):
        raise RedvizError(
            f"{kept.name} of {name} names no {key.strip('_').replace('_', ' ')}; save the data set again."
        )
    return found


def _json_of(kept: Path, name: str) -> dict[str, Any]:
    refuse_pointer(kept, f"{name}/{kept.name}")
    found = parsed(kept.read_text("utf-8", "replace"))
    if not isinstance(found, dict):
        raise RedvizError(f"{kept.name} of {name} is no JSON object; save the data set again.")
    return found


def _chosen(names: list[str], stated: dict[str, dict[str, list[str]]], config: str, split: str, name: str) -> list[str]:
    """The files of one split among the ``names`` of all, relative to the folder."""
    if stated and not config:
        config = "default" if "default" in stated or len(stated) > 1 else next(iter(stated))
        if config not in stated:
            raise RedvizError(
                f"{name} has the configurations {quoted(stated)}; name one, as in owner/name/config:split."
            )
    if stated and config in stated:
        splits = {key: _matches(names, patterns, name) for key, patterns in stated[config].items()}
    else:
        splits = _by_name([PurePosixPath(path) for path in names], config, name)
    splits = {key: files for key, files in splits.items() if files}
    if not splits:
        raise RedvizError(
            f"{name} holds none of {', '.join(ENDINGS)} here; download its files first, or give one by its path."
        )
    if not split:
        split = "train" if "train" in splits else next(iter(splits))
        if split != "train" and len(splits) > 1:
            raise RedvizError(f"{name} has the splits {quoted(splits)}; name one, as in owner/name:split.")
    if split not in splits:
        raise RedvizError(f"{name} has no split {split!r}, but {quoted(splits)}; name one of them.")
    return splits[split]


def _names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _names_on_the_hub(repo: str, folder: Path) -> list[str]:
    """The names of all files of the data set, or of those in the cache where the Hub does not answer."""
    from huggingface_hub import HfApi

    try:
        return sorted(HfApi().list_repo_files(repo, repo_type="dataset", revision=folder.name))
    except Exception:  # the errors of the HTTP client have a tree of their own; that the cache is there is known
        return _names_in(folder)


def _by_name(paths: list[PurePosixPath], config: str, name: str) -> dict[str, list[str]]:
    files = [path for path in paths if path.name.lower().endswith(ENDINGS) and not NOT_ROWS.fullmatch(path.name)]
    if config:
        files = [path for path in files if config in path.parts[:-1] or path.name.startswith(f"{config}.")]
        if not files:
            raise RedvizError(f"{name} has no files in a folder {config!r}; check the configuration.")
    elif len(parents := {_configuration(path) for path in files}) > 1:
        raise RedvizError(
            f"{name} has files in {quoted(sorted(parents))}; name a folder as its configuration, as in owner/name/config:split."
        )
    splits: dict[str, list[str]] = {}
    for path in files:
        splits.setdefault(_split(path), []).append(str(path))
    return {key: _one_format(paths) for key, paths in splits.items()}


def _configuration(path: PurePosixPath) -> str:
    return next((part for part in path.parts[:-1] if part != "data" and _known_split(part) is None), "")


def _split(path: PurePosixPath) -> str:
    named = [_known_split(part) for part in (path.name, *reversed(path.parts[:-1]))]
    return next((split for split in named if split), "train")


def _known_split(part: str) -> str | None:
    """The split that a file or folder is named after: ``train-00000-of-00002.parquet``, ``test_prefs``, ``dev``."""
    words = re.sub(r"(-\d{5}-of-\d{5}.*|(\.(parquet|jsonl|json|csv|tsv|arrow|gz))+)$", "", part.lower())
    return (
        words
        if re.split(r"[-_.]", words)[0] in SPLITS
        else next((s for s in SPLITS if s in re.split(r"[-_.]", words)), None)
    )


def _one_format(paths: list[str]) -> list[str]:
    ending = next(ending for ending in ENDINGS if any(path.lower().endswith(ending) for path in paths))
    return [path for path in paths if path.lower().endswith(ending)]


def _stated(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Configuration -> split -> patterns, from the README's head; empty where it states nothing that can be followed."""
    from huggingface_hub import metadata_load

    readme = folder / "README.md"
    try:
        head = metadata_load(readme) if readme.is_file() else None
    except Exception:  # YAML has a tree of errors of its own; a README that cannot be read states nothing
        return {}
    configs = head.get("configs") if isinstance(head, dict) else None
    found: dict[str, dict[str, list[str]]] = {}
    for entry in configs if isinstance(configs, list) else ():
        if isinstance(entry, dict) and (splits := _patterns(entry.get("data_files"))):
            found[str(entry.get("config_name", "default"))] = splits
    return found


def _patterns(files: Any) -> dict[str, list[str]]:
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(path, str) for path in files)):
        files = [{"split": "train", "path": files}]
    splits: dict[str, list[str]] = {}
    for entry in files if isinstance(files, list) else ():
        if isinstance(entry, dict):
            paths = entry.get("path")
            listed = [
                path for path in (paths if isinstance(paths, list) else [paths]) if isinstance(path, str) and path
            ]
            # Nothing outside the folder: a README is written by a stranger.
            splits[str(entry.get("split", "train"))] = [p for p in listed if not p.startswith("/") and ".." not in p]
    return {split: patterns for split, patterns in splits.items() if patterns}


def _matches(names: Iterable[str], patterns: list[str], name: str) -> list[str]:
    parts = [PurePosixPath(pattern).parts for pattern in patterns]
    if odd := [part for pattern in parts for part in pattern if "**" in part and part != "**"]:
        raise RedvizError(
            f"The README of {name} names its files by {odd[0][:80]!r}, but ** stands for whole folders alone; download the files and "
            "give one by its path."
        )
    paths = [(path, PurePosixPath(path).parts) for path in names if path.lower().endswith(ENDINGS)]
    return [path for path, own in paths if any(_fits(own, pattern) for pattern in parts)]


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the parts of a path match those of a pattern, whose ``**`` is any number of folders.

    >>> _fits(("data", "en", "train-0.csv"), ("data", "**", "train-*"))
    True
    """
    reached = {0}  # parts of the path that the pattern so far may have taken
    for part in pattern:
        if part == "**":
            reached = set(range(min(reached), len(path) + 1))
        else:
            reached = {n + 1 for n in reached if n < len(path) and fnmatchcase(path[n], part)}
        if not reached:
            return False
    return len(path) in reached


def _snapshot(repo: str, patterns: list[str], revision: str | None = None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise RedvizError(f"{repo!r} is not a Hub id; a Hub id looks like owner/name.") from None
    except GatedRepoError as error:
        raise RedvizError(f"{repo} is gated; accept its licence on the Hub and set HF_TOKEN.") from error
    except RepositoryNotFoundError as error:
        raise RedvizError(f"{repo} is no data set on the Hub (or is private: set HF_TOKEN).") from error
    except LocalEntryNotFoundError as error:
        raise RedvizError(
            f"{repo} is not in the local Hub cache and the Hub cannot be reached; download it first, or give a local file."
        ) from error
    except OSError as error:
        raise RedvizError(
            f"{repo} could not be fetched from the Hub ({type(error).__name__}); try again, or give a local file."
        ) from error
