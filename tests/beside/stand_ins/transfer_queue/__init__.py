"""Stands in for TransferQueue, where verl's trainer puts the fields of a batch and gets them again: one batch, in a dict."""

from dataclasses import dataclass, field
from typing import Any

from tensordict import TensorDict

FIELDS: dict[str, Any] = {}


@dataclass
class KVBatchMeta:
    keys: list[str]
    partition_id: str = "train"
    extra_info: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


class BatchMeta:
    pass


def kv_batch_put(keys: list[str], partition_id: str, fields: TensorDict) -> KVBatchMeta:
    FIELDS.update(fields.items())
    return KVBatchMeta(keys, partition_id)


def kv_batch_get(keys: list[str], partition_id: str, select_fields: list[str]) -> TensorDict:
    return TensorDict({name: FIELDS[name] for name in select_fields if name in FIELDS}, batch_size=len(keys))
