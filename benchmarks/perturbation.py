"""Occlusion and Shapley sampling over tokens, with and without the reuse of keys and values, and Captum alone.

On a random Llama (6 layers of 512), prompt of 256 tokens and response of 128, all within the same number of tokens per forward,
side by side in one run. Tokens are deleted.

* redviz: a coalition runs from its first missing token on; equal coalitions of all permutations run once;
* whole: the same coalitions, each a full forward (padded on the right, sorted by length);
* Captum: its own calls, one batch for each permutation, full forwards.

Target: redviz at least 3 times faster than full forwards.

Then how far sampled values are from the exact ones at equal numbers of scored responses, over a response of 13 tokens whose 8,192
coalitions are all scored: root mean square error as a share of the exact values' standard deviation, mean over seeds.

* redviz: `shapley` (orders in pairs with their reverses) and `kernel_shap` (coalitions in pairs with their complements);
* alone: the same draws without their partners, as redviz drew until then (Captum's KernelShap);
* SHAP: PermutationExplainer and KernelExplainer of the shap package, where it is installed.

Target: errors not above SHAP's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from math import comb
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from captum.attr import FeatureAblation, KernelShap, ShapleyValueSampling
from side_by_side import build, encoding, in_turn, ratio

from redviz.credit.from_models import perturbation, shapley
from redviz.credit.from_models.coalitions import players_of, value_function
from redviz.models.kinds.reward_model import RewardModel, positions
from redviz.models.running.budgets import at_once
from redviz.models.running.observe import observe
from redviz.records import Example, Observation

try:
    import shap
except ImportError:  # pip install shap
    shap = None


def whole_forwards(model: RewardModel, seen: Observation) -> Callable[..., torch.Tensor]:
    """The value function of deletion with nothing reused: every row is a full forward, read at its last token."""
    e = seen.encoding

    @torch.inference_mode()
    def value(z: torch.Tensor, _: Any = None) -> torch.Tensor:
        rows = [np.concatenate([e.ids[: e.start], e.ids[e.start :][row]]) for row in z.numpy() > 0.5]
        order = sorted(range(len(rows)), key=lambda r: len(rows[r]))
        found = torch.zeros(len(rows), dtype=torch.float64)
        while order:
            batch = order[-max(1, at_once("forward", model.device) // len(rows[order[-1]])) :]
            lengths = torch.tensor([len(rows[r]) for r in batch], device=model.device)
            mask = (torch.arange(int(lengths.max()), device=model.device) < lengths[:, None]).long()  # [B, L]
            ids = torch.zeros_like(mask)
            for line, r in zip(ids, batch, strict=True):
                line[: len(rows[r])] = torch.as_tensor(rows[r])
            hidden = model.run(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
            ).last_hidden_state
            found[batch] = model.scores(hidden[torch.arange(len(batch)), lengths - 1]).double().cpu()
            order = order[: -len(batch)]
        return found

    def distinct(z: torch.Tensor, _: Any = None) -> torch.Tensor:
        rows, where = torch.unique(z, dim=0, return_inverse=True)
        return value(rows)[where]

    return distinct


PLAYERS = 13


def errors(model: RewardModel, seeds: int) -> None:
    """Print the errors of sampled Shapley values."""
    made = encoding(4, PLAYERS)
    (seen,) = observe(model, [replace(made, example=Example("", "x" * PLAYERS))], attention=False)
    every = (np.arange(2**PLAYERS)[:, None] >> np.arange(PLAYERS) & 1).astype(bool)  # [2^P, P]
    players = players_of(seen, "token")
    worth = value_function(model, seen, players)(torch.from_numpy(every), None).numpy()  # [2^P]
    sizes = every.sum(1)
    likely = np.array([0.0] + [1 / (PLAYERS * comb(PLAYERS - 1, size - 1)) for size in range(1, PLAYERS + 1)])
    exact = np.array(
        [
            (likely[sizes] * (worth - worth[np.arange(2**PLAYERS) & ~(1 << p)]))[every[:, p]].sum()
            for p in range(PLAYERS)
        ]
    )

    def value(z: Any, _: Any = None) -> Any:
        return worth[(np.asarray(z) > 0.5) @ (1 << np.arange(PLAYERS))]

    table = lambda *_: lambda z, progress=None: torch.from_numpy(value(z))  # noqa: E731

    def ours(method: Callable[..., Any], module: Any, samples: int, seed: int) -> np.ndarray:
        with patch.object(module, "value_function", table):
            found: np.ndarray = method(seen, model, players="token", samples=samples, seed=seed).values
        return found

    def captum(method: Any, samples: int, seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        taken = {"n_samples": samples, "perturbations_per_eval": PLAYERS if method is ShapleyValueSampling else samples}
        found = method(lambda z: torch.from_numpy(value(z))).attribute(
            torch.ones(1, PLAYERS, dtype=torch.float64), baselines=0.0, **taken
        )
        return np.asarray(found[0])

    def of_shap(kernel: bool, calls: int, seed: int) -> np.ndarray:
        whole, nothing = np.ones((1, PLAYERS)), np.zeros((1, PLAYERS))
        if kernel:
            np.random.seed(seed)
            explainer = shap.KernelExplainer(value, nothing, silent=True)
            return np.asarray(explainer.shap_values(whole, nsamples=calls - 2, l1_reg=False, silent=True)[0])
        masked = shap.maskers.Independent(nothing)
        explainer = shap.explainers.Permutation(value, masked, seed=seed)
        return np.asarray(explainer(whole, max_evals=calls + 1, silent=True).values[0])

    print(f"\n{PLAYERS} players, {seeds} seeds{'' if shap else '; shap is not installed'}")
    print(f"{'':<12} {'calls':>6} {'redviz':>8} {'alone':>8} {'SHAP':>8}")
    for permutations in (4, 20, 40):
        calls = permutations * PLAYERS
        rows: dict[str, list[Callable[[int], np.ndarray]]] = {
            "shapley": [
                lambda seed, n=permutations: ours(shapley.shapley, shapley, n, seed),
                lambda seed, n=permutations: captum(ShapleyValueSampling, n, seed),
                lambda seed, n=calls: of_shap(False, n, seed),
            ],
            "kernel_shap": [
                lambda seed, n=calls: ours(perturbation.kernel_shap, perturbation, n, seed),
                lambda seed, n=calls: captum(KernelShap, n, seed),
                lambda seed, n=calls: of_shap(True, n, seed),
            ],
        }
        for name, ways in rows.items():
            told = [
                f"{np.mean([np.sqrt(np.mean((way(seed) - exact) ** 2)) for seed in range(seeds)]) / exact.std():>8.3f}"
                for way in (ways if shap else ways[:2])
            ]
            print(f"{name:<12} {calls:>6} {' '.join(told)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--response", type=int, default=128)
    parser.add_argument("--samples", type=int, default=2, help="permutations")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=100, help="of the sampled values")
    parser.add_argument("--threads", type=int, default=1, help="more than one gives noise where other programs run")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="a smaller model and a shorter text")
    options = parser.parse_args()
    if options.quick:
        options.layers, options.hidden = 4, 256
        options.prompt, options.response = 128, 64
    torch.set_num_threads(options.threads)
    model = build(options.layers, options.hidden, options.device)
    made = encoding(options.prompt, options.response)
    (seen,) = observe(model, [replace(made, example=Example("", "x" * options.response))], attention=False)
    plain = whole_forwards(model, seen)
    count, samples = options.response, options.samples

    def without_reuse(method: Callable[..., Any], **asked: Any) -> np.ndarray:
        module = perturbation if method is perturbation.occlusion else shapley
        with patch.object(module, "value_function", lambda *_: plain):
            values: np.ndarray = method(seen, model, players="token", **asked).values
        return values

    def captum(method: Any, **asked: Any) -> np.ndarray:
        torch.manual_seed(0)
        found: np.ndarray = (
            method(plain)
            .attribute(torch.ones(1, count), baselines=0.0, perturbations_per_eval=count, **asked)[0]
            .numpy()
        )
        return found

    methods: dict[str, dict[str, Callable[[], np.ndarray]]] = {
        "occlusion": {
            "redviz": lambda: perturbation.occlusion(seen, model).values,
            "whole": lambda: without_reuse(perturbation.occlusion),
            "captum": lambda: captum(FeatureAblation),
        },
        "shapley": {
            "redviz": lambda: shapley.shapley(seen, model, players="token", samples=samples).values,
            "whole": lambda: without_reuse(shapley.shapley, samples=samples),
            "captum": lambda: captum(ShapleyValueSampling, n_samples=samples),
        },
    }
    print(f"prompt {options.prompt}, response {count}, {samples} permutations")
    print(
        f"{'':<10} {'redviz s':>9} {'whole s':>9} {'Captum s':>9} {'to whole':>9} {'to Captum':>10} {'difference':>11}"
    )
    for name, ways in methods.items():
        ours, whole = ways["redviz"](), ways["whole"]()
        error = abs(ours - whole).max() / abs(whole).max()
        times = in_turn(ways, options.repeats)
        each = " ".join(f"{median(times[way]):>9.2f}" for way in ways)
        gains = f"{ratio(times, 'whole', 'redviz'):>9.2f} {ratio(times, 'captum', 'redviz'):>10.2f}"
        print(f"{name:<10} {each} {gains} {error:>11.1e}", flush=True)
    errors(build(2, 64, options.device), options.seeds)


if __name__ == "__main__":
    main()
