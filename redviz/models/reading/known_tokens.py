"""Ids that a model has no embedding for: found before a forward pass, for on CUDA a look beyond a table ends the whole process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array


def known_ids(module: Any) -> int:
    """How many tokens a model has embeddings for."""
    return int(module.get_input_embeddings().weight.shape[0])


def check_known(module: Any, tokenizer: Any, ids: Sequence[int] | Array, name: str) -> None:
    """Refuse a text that a model cannot look up.

    Parameters
    ----------
    module, tokenizer
        The Transformers model, and the tokenizer that made the ids.
    ids
        ``[L]``.

    Raises
    ------
    RedvizError
        Where an id is beyond the model's embeddings; its token is named.
    """
    known = known_ids(module)
    beyond = np.asarray(ids)[np.asarray(ids) >= known]
    if len(beyond):
        token = tokenizer.convert_ids_to_tokens(int(beyond[0]))
        raise RedvizError(
            f"The text becomes the token {token!r} (id {beyond[0]}), and {name} has embeddings for the ids below {known} alone; "
            "give the tokenizer that the model was trained with, or leave that token out."
        )


def filler_id(module: Any, pad: int | None) -> int:
    """What fills a padded batch: the pad token where the model has an embedding for it, else the first id, which the mask hides."""
    return pad if pad is not None and 0 <= pad < known_ids(module) else 0
