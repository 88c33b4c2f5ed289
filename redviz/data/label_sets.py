"""Keeps an import path that scripts use: files of labels are opened in :mod:`redviz.data.labels.label_sets`."""

from redviz.data.labels.label_sets import KINDS, open_labels, to_lines

__all__ = ["KINDS", "open_labels", "to_lines"]
