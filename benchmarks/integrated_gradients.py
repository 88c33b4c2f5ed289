"""Integrated gradients over the response with the prompt computed once, beside Captum's LayerIntegratedGradients over the whole text.

On a random Llama (8 layers of 512), prompt of 384 tokens and response of 128, both within the same number of tokens per forward
and backward, side by side in one run:

* at equal steps: both with the same number of Gauss-Legendre nodes; the credits must agree;
* at equal residual: redviz doubles its steps until the residual is small, every round counted; Captum is told the number of steps
  that reaches it, and needs no search.

Target: redviz at least 2 times faster in both.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from side_by_side import build, encoding, in_turn, ratio, set_kernel

from redviz.credit.from_models.integrated_gradients import ig
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import FAST
from redviz.models.running.budgets import at_once
from redviz.models.running.observe import observe
from redviz.records import Encoding


def stock(model: RewardModel, example: Encoding, steps: int) -> np.ndarray:
    """Captum as its documentation has it: ``[T]``."""
    set_kernel(model, "sdpa")
    ids = torch.as_tensor(example.ids[None], device=model.device)
    baseline = ids.clone()
    baseline[:, example.start : example.stop] = model.tokenizer.pad_token_id
    rows = max(1, at_once("backward", model.device) // ids.shape[1])

    def score(given: torch.Tensor) -> torch.Tensor:
        return model.scores(model.trunk(given, use_cache=False).last_hidden_state[:, example.read])

    method = LayerIntegratedGradients(score, model.module.get_input_embeddings())
    found = method.attribute(ids, baseline, n_steps=steps, internal_batch_size=min(rows, steps)).sum(-1)[0]
    credits: np.ndarray = found.detach().cpu().numpy()[example.start : example.stop]
    return credits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=384)
    parser.add_argument("--response", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument(
        "--sharpness", type=float, default=1.0, help="scales every weight; sharper models need more steps"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="more than one gives noise where other programs run")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = build(options.layers, options.hidden, options.device)
    for layer in model.module.model.layers:
        for parameter in layer.parameters():
            parameter.mul_(options.sharpness if parameter.dim() > 1 else 1)
    example = encoding(options.prompt, options.response)
    set_kernel(model, FAST)
    (seen,) = observe(model, [example])

    def ours(steps: int | None = None) -> np.ndarray:
        set_kernel(model, FAST)
        return ig(seen, model, steps=steps).values

    fixed, captum = ours(options.steps), stock(model, example, options.steps)
    error = abs(fixed - captum).max() / abs(captum).max()
    set_kernel(model, FAST)
    free = ig(seen, model)
    needed = free.meta["steps"]
    print(f"prompt {options.prompt}, response {options.response}, largest difference {error:.1e} of the largest credit")
    print(f"{'':<16} {'steps':>6} {'residual':>9} {'redviz s':>9} {'Captum s':>9} {'faster':>7}")
    for name, steps, asked in (("equal steps", options.steps, options.steps), ("equal residual", needed, None)):
        left = ig(seen, model, steps=steps).residual
        runs = {"redviz": lambda asked=asked: ours(asked), "captum": lambda steps=steps: stock(model, example, steps)}
        times = in_turn(runs, options.repeats)
        each = f"{median(times['redviz']):>9.2f} {median(times['captum']):>9.2f}"
        print(f"{name:<16} {steps:>6} {left:>9.4f} {each} {ratio(times, 'captum', 'redviz'):>7.2f}", flush=True)
    print(f"tolerance {free.meta['tolerance']:.4f}, {'reached' if free.meta['converged'] else 'not reached'}")


if __name__ == "__main__":
    main()
