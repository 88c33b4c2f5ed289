"""Results by content: what was computed for these weights, this text and these options is kept once for everybody."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from redviz.credit.recipes import Recipe
from redviz.models.spec import ModelSpec
from redviz.records import Example, Observation, Source

RESULT_BYTES = 512 * 2**20  # observations and credits kept


class Results:
    """Results by content, the least recently used dropped beyond a number of bytes. Safe between threads."""

    def __init__(self, limit: int = RESULT_BYTES) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """The value, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def drop(self, key: Any) -> None:
        """Forget a value."""
        with self._lock:
            self._held -= self._kept.pop(key, (None, 0))[1]

    def put(self, key: Any, value: Any, size: int) -> None:
        """Keep a value of this many bytes."""
        with self._lock:
            _, old = self._kept.pop(key, (None, 0))
            self._kept[key] = (value, size)
            self._held += size - old
            while self._held > self._limit and len(self._kept) > 1:
                _, (_, gone) = self._kept.popitem(last=False)
                self._held -= gone


def content_key(source: Source, spec: ModelSpec, example: Example, recipe: Recipe | None = None) -> tuple[Any, ...]:
    """What a result depends on: weights, how they are read, text, method and options."""
    loaded = (source.fingerprint, source.template_hash, source.dtype, spec.head, spec.max_length, spec.read)
    return (*loaded, text_key(example), text_key(recipe) if recipe else None)


def text_key(record: Example | Recipe) -> str:
    plain = (record.prompt, record.response) if isinstance(record, Example) else (record.method, dict(record.options))
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, default=list)


def observation_bytes(observation: Observation) -> int:
    rows = [
        r.nbytes for r in (observation.response_row, observation.pooling_row, observation.step_scores) if r is not None
    ]
    return sum(rows) + observation.column_scores.nbytes + 64 * len(observation.encoding.ids)


def array_bytes(result: Any) -> int:
    """Bytes of the arrays in a result, a record of arrays, or a collection of either."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    if is_dataclass(result):
        result = vars(result)
    parts = result.values() if isinstance(result, Mapping) else result if isinstance(result, (list, tuple)) else ()
    return sum(map(array_bytes, parts))
