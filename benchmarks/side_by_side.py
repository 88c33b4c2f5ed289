"""What the benchmarks share: a random reward model of moderate size, and timing of several ways in turn."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout need not be installed

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import FAST
from redviz.records import Encoding, Source

VOCABULARY = 2000


def build(layers: int, hidden: int, device: str) -> RewardModel:
    """A random Llama reward model whose scores spread by about one unit; no tokenizer is needed, ids are random too."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=8192,
        num_labels=1,
        pad_token_id=0,
    )
    module = LlamaForSequenceClassification(config).to(device).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter.shape[-1] ** -0.5)
    module.set_attn_implementation(FAST)
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1)
    mix = torch.ones(1, device=device)
    return RewardModel("random", module, tokenizer, module.score, mix, config.max_position_embeddings, Source("random"))


def encoding(prompt: int, response: int) -> Encoding:
    """Random ids: a prompt, a response of T tokens, and nothing after it."""
    ids = np.random.default_rng(0).integers(2, VOCABULARY, prompt + response)
    offsets = tuple((t, t + 1) for t in range(response))
    return Encoding(ids, prompt, len(ids), len(ids) - 1, offsets, ("x",) * len(ids), "x" * len(ids))


def set_kernel(model: RewardModel, kernel: str) -> None:
    """Point the model at an attention implementation, if it is not there already."""
    if model.module.config._attn_implementation != kernel:
        model.module.set_attn_implementation(kernel)


def seconds(run: Callable[[], Any]) -> float:
    """The time of one call, the accelerator's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_turn(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every way, run in turn round after round, so that a busy machine slows all of them alike."""
    for run in ways.values():
        run()  # warm
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeats):
        names = list(ways) if round_ % 2 == 0 else list(ways)[::-1]
        for name in names:
            times[name].append(seconds(ways[name]))
    return times


def ratio(times: Mapping[str, list[float]], name: str, to: str) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(times[name], times[to], strict=True))
