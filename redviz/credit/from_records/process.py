"""What a process reward model itself says of each step, and a classifier of tokens of each token."""

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Credit, Observation


def process(observation: Observation) -> Credit:
    """The score of each step, in [0, 1], as the model gives it (Lightman et al. 2023, arXiv 2305.20050). Promises no sum.

    Of a classifier of tokens, the reward of each token, of any size.
    """
    if observation.step_scores is None:
        raise RedvizError(
            "process shows what a process reward model says of each step, and this model scores no steps; use red."
        )
    return Credit(observation.step_scores.astype(np.float32), None, None)
