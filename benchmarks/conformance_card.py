"""What does the conformance card cost? Processor seconds and forward passes of every check, on random weights of a real model's size.

The model is a Llama of SmolLM2-135M's shape (hidden 576, 30 layers, 9 heads over 3, a vocabulary of 49,152, a context of 8,192 tokens)
under the embedded model's tokenizer. Target: 20 processor seconds for the card on one core, in float32; ``--thorough`` is whatever it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout need not be installed

from redviz.evaluation.conformance import conformance
from redviz.evaluation.conformance.conformance import check_model
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.files import resolve
from redviz.models.loading.load import load_reward_model


def saved(folder: str) -> str:
    """Random weights of SmolLM2-135M's shape, whose scores spread by about one unit."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve("embedded:sentiment"))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    module = transformers.LlamaForSequenceClassification(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter.shape[-1] ** -0.5)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def timed(model: RewardModel, spent: dict[str, tuple[float, int]]) -> Any:
    """The table of checks, each of which notes what it took."""

    def noting(name: str, check: Any) -> Any:
        def run(given: Any) -> Any:
            start, passes = time.process_time(), model.forwards
            found = check(given)
            spent[name] = time.process_time() - start, model.forwards - passes
            return found

        return run

    checks = {name: (title, noting(name, check)) for name, (title, check) in conformance.CHECKS.items()}
    with patch.object(conformance, "CHECKS", checks):
        yield


def show(card: conformance.ConformanceCard, spent: Mapping[str, tuple[float, int]], total: float) -> None:
    print(f"{'check':20}{'seconds':>9}{'passes':>8}  found")
    for check in card.checks:
        seconds, passes = spent[check.name]
        print(f"{check.name:20}{seconds:9.2f}{passes:8}  {check.verdict}: {check.figure}")
    print(f"{'in all':20}{total:9.2f}  processor seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--thorough", action="store_true", help="every check without a budget")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="redviz-card-") as folder:
        model = load_reward_model(saved(folder), device="cpu", dtype=args.dtype)
        spent: dict[str, tuple[float, int]] = {}
        start = time.process_time()
        with timed(model, spent):
            card = check_model(model, thorough=args.thorough)
        show(card, spent, time.process_time() - start)


if __name__ == "__main__":
    main()
