"""Keeps an import path that scripts use: whole files are written in :mod:`redviz.data.whole_files`."""

from redviz.data.whole_files import replace_file, sweep

__all__ = ["replace_file", "sweep"]
