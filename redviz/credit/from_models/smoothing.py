"""SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825), through Captum's NoiseTunnel: gradients averaged over noisy responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import Attribution, NoiseTunnel
from torch import Tensor

from redviz.credit.choices import MOST_SAMPLES
from redviz.credit.from_models.gradient_inputs import GradientInputs
from redviz.errors import RedvizError


def check_draws(samples: int, noise: float, seed: int) -> None:
    """Refuse what no random draws can be made of."""
    if not 1 <= samples <= MOST_SAMPLES:
        raise RedvizError(f"samples is {samples}; give at least 1 and at most {MOST_SAMPLES}.")
    if not 0.0 <= noise <= 1.0:
        raise RedvizError(
            f"noise is {noise}; it is a share of the range of the embeddings, so give a number from 0 to 1."
        )
    if not 0 <= seed < 2**32:
        raise RedvizError(f"seed is {seed}; give a whole number from 0 to {2**32 - 1}.")


def stdev_of(given: GradientInputs, noise: float) -> float:
    """The noise's standard deviation: a share of the range of the response's embeddings."""
    return noise * float(given.response.max() - given.response.min())


def smoothed(
    attribution: Attribution,
    given: GradientInputs,
    noise: float,
    samples: int,
    seed: int,
    rows: int,
    pause: Callable[[int], None],
    **options: Any,
) -> Tensor:
    """The mean of an attribution over noisy responses: ``[T, D]`` float64.

    Parameters
    ----------
    attribution
        A Captum method that gives gradients, not yet multiplied by anything: so a linear score has the credits it has without noise.
    noise, samples, seed
        As in :func:`redviz.credit.from_models.gradients.gradient_shap`; the noise is drawn on the CPU, the same everywhere.
    rows
        Noisy responses of one call.
    pause
        Called with the noisy responses done before each call; may raise to cancel.
    **options
        Of the attribution.
    """
    inputs = given.response.float().cpu()  # [1, T, D]
    total = torch.zeros(inputs.shape[1:], dtype=torch.float64)
    with seeded(seed):
        for done in range(0, samples, rows):
            pause(done)
            batch = inputs.expand(min(rows, samples - done), -1, -1).clone()  # [rows, T, D]: one sample of each row
            found = NoiseTunnel(attribution).attribute(
                batch, nt_type="smoothgrad", nt_samples=1, stdevs=stdev_of(given, noise), **options
            )
            total += found.detach().double().cpu().sum(0)
    return total / samples


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Captum draws from NumPy's and torch's global generators: seed them, and put back what they were."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device, for good
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
