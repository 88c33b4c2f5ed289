"""What a checkpoint folder's safetensors hold, read tensor by tensor, whole or in shards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from redviz.errors import RedvizError

INDEX = "model.safetensors.index.json"
WRAPPERS = re.compile(
    r"((module|_orig_mod|_fsdp_wrapped_module|_forward_module)\.)+"
)  # of DDP, torch.compile, FSDP, DeepSpeed


@dataclass(frozen=True)
class Weights:
    """Names of a checkpoint's tensors and the file each lies in. Nothing is read before it is asked for.

    Attributes
    ----------
    name
        The model's name, for errors.
    files
        File by tensor name.
    wrapper
        What a trainer's wrapper put before every name in the files; the names here are without it.
    taken
        Names that were read so far.
    """

    name: str
    files: Mapping[str, Path]
    wrapper: str = ""
    taken: set[str] = field(default_factory=set, compare=False)

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def starting(self, prefix: str) -> tuple[str, ...]:
        """Names that start so, in order."""
        return tuple(sorted(name for name in self.files if name.startswith(prefix)))

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors by name, in the dtype of the file.

        Raises
        ------
        RedvizError
            Where one is not there, or its file cannot be read.
        """
        asked = list(names)
        if absent := [name for name in asked if name not in self.files]:
            raise RedvizError(
                f"{self.name} lacks the weights {', '.join(absent[:4])}; download or save the model again."
            )
        self.taken.update(asked)
        tensors = {}
        for path in dict.fromkeys(self.files[name] for name in asked):
            try:
                with safe_open(path, framework="pt") as file:
                    here = [name for name in asked if self.files[name] == path]
                    tensors.update({name: file.get_tensor(self.wrapper + name) for name in here})
            except Exception as error:  # safetensors raises its own tree
                raise RedvizError(
                    f"{self.name}/{path.name} cannot be read ({error}); download or save the model again."
                ) from error
        return tensors


def weights_of(folder: Path, name: str) -> Weights:
    """The tensors of a folder; none where its weights are pickles.

    Raises
    ------
    RedvizError
        Where the index is no JSON, or a file of it is missing or no safetensors file.
    """
    if (folder / INDEX).exists():
        try:
            listed = json.loads((folder / INDEX).read_text())["weight_map"]
            files = {str(key): folder / str(file) for key, file in listed.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RedvizError(f"{name}/{INDEX} is broken ({error}); download or save the model again.") from error
        if absent := sorted({path.name for path in files.values() if not path.exists()}):
            raise RedvizError(f"{name} lacks {absent[0]}, which its index names; download all of its files.")
        beside = [path for path in sorted(folder.glob("*.safetensors")) if path not in set(files.values())]
    else:
        files, beside = {}, sorted(folder.glob("*.safetensors"))
    for path in beside:  # a value head often lies in a file of its own
        if path.name.startswith("adapter_"):
            continue
        try:
            with safe_open(path, framework="pt") as file:
                files.update(dict.fromkeys(file.keys(), path))
        except Exception as error:  # safetensors raises its own tree
            raise RedvizError(
                f"{name}/{path.name} cannot be read ({error}); download or save the model again."
            ) from error
    wrapped = {found[0] if (found := WRAPPERS.match(key)) else "" for key in files}
    wrapper = wrapped.pop() if len(wrapped) == 1 else ""
    return Weights(name, {key.removeprefix(wrapper): path for key, path in files.items()}, wrapper)
