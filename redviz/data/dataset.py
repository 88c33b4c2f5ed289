"""Keeps an import path that scripts use: data sets are opened in :mod:`redviz.data.sets.dataset`."""

from redviz.data.sets.dataset import Candidate, DataItem, Dataset, Detected, HumanSpan, RowProblem, open_dataset

__all__ = ["Candidate", "DataItem", "Dataset", "Detected", "HumanSpan", "RowProblem", "open_dataset"]
