"""What a run computes, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# On the rows, beyond what the fingerprints say: where a run was found again, the latest of these stand.
WITHOUT_EFFECT = ("dataset", "path", "device", "count", "load_from", "template")


@dataclass(frozen=True)
class Manifest:
    """What a run computes: everything that decides its rows, and where its data set came from.

    Attributes
    ----------
    dataset, path, dataset_fingerprint, count
        Its name, the file or Hub id it is read from ("" for an upload, whose content is kept in the run), the sha256 of its
        content, and how many examples the run has.
    mapping
        Which column plays which part, where a person chose; else empty.
    model, revision, model_fingerprint, template_hash, dtype, head, read, max_length, template
        As the model was loaded; ``max_length`` and ``template`` as they were asked for.
    methods
        Label to options, defaults filled in and "method" among them.
    partners
        "policy", "reference", "cost_model" to their names and fingerprints.
    load_from
        "model" and the partners to what they are loaded from: a folder, from the root, or the name. The names stay those that the
        run began with; this is where the models were found the last time.
    chunk
        Examples of one part.
    """

    dataset: str
    path: str
    dataset_fingerprint: str
    count: int
    model: str
    methods: Mapping[str, Mapping[str, Any]]
    revision: str = ""
    model_fingerprint: str = ""
    template_hash: str = ""
    dtype: str = ""
    head: str = ""
    read: str = "model"
    max_length: int | None = None
    template: str | None = None
    device: str = ""
    partners: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    load_from: Mapping[str, str] = field(default_factory=dict)
    chunk: int = 256
    schema_version: str = ""
    redviz_version: str = ""

    @property
    def id(self) -> str:
        """A hash of what decides the rows: the same command finds its run again, whatever the models' folders are called."""
        decides = {name: value for name, value in asdict(self).items() if name not in WITHOUT_EFFECT}
        decides["methods"] = list(decides["methods"].items())  # rows stand in this order
        for named in (decides, *decides["partners"].values()):
            if named.get("model_fingerprint") or named.get("fingerprint"):
                del named["model"]
        decides["format"] = Path(self.dataset).suffix.lower()
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def parts(self) -> int:
        return -(-self.count // self.chunk)

    def size(self, part: int) -> int:
        """Examples of a part."""
        return min(self.chunk, self.count - part * self.chunk)

    def to_json(self) -> str:
        return json.dumps({"id": self.id, **asdict(self)}, ensure_ascii=False, indent=1)
