"""Memory that weights take, device by device."""

from __future__ import annotations

from typing import Any

CUDA_SHARE = 0.9  # of a GPU's memory, for weights


def place(device: Any) -> str:
    """The device whose memory a model takes, such as "cpu", "mps" or "cuda:0".

    >>> place("cuda")
    'cuda:0'
    """
    kind, _, index = str(device).partition(":")
    return f"cuda:{index or 0}" if kind == "cuda" else kind


def capacity(device: Any) -> int:
    """Bytes of weights to keep loaded there: nine tenths of a GPU's memory, half of the machine's."""
    if place(device).startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(place(device))[1] * CUDA_SHARE)
    import psutil

    return int(psutil.virtual_memory().total // 2)


def free_memory(device: Any) -> int:
    """Bytes free there now."""
    if place(device).startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(place(device))[0])
    import psutil

    return int(psutil.virtual_memory().available)
