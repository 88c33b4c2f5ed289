"""The two controls every comparison needs: the whole score at the end, and the score spread evenly."""

import numpy as np

from redviz.records import Credit, Observation


def sparse(observation: Observation) -> Credit:
    """The score as outcome reward: all of it on the last response token. Sums to the score."""
    values = np.zeros(len(observation.prefix_scores) - 1, np.float32)  # [T]
    values[-1] = observation.score
    return Credit(values, observation.score, 0.0)


def uniform(observation: Observation) -> Credit:
    """The score spread evenly, R / T for each token (the control of ABC's paper). Sums to the score."""
    length = len(observation.prefix_scores) - 1
    return Credit(np.full(length, observation.score / length, np.float32), observation.score, 0.0)  # [T]
