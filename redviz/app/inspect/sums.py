"""The sums under the strips: reference + credits + residual = total per method, and what a method says of itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from redviz.records import Analysis, Credit
from redviz.view.lanes import signed
from redviz.view.markdown import plain
from redviz.view.remarks import instructions, remarks


def sums(analysis: Analysis, names: Mapping[str, str]) -> None:
    """Per method: reference + sum of credits + residual = total, or that it promises no sum."""
    rows = ["| | reference | + Σ credits | + residual | = total | |", "|:--|--:|--:|--:|--:|:--|"]
    for label, credit in analysis.credits.items():
        total = signed(float(credit.values.sum(dtype=np.float64)))
        name = plain(names.get(label, label))
        if credit.residual is None or credit.reference is None or credit.total is None:
            rows.append(f"| **{name}** | | {total} | | | {plain('; '.join(['promises no sum', *remarks(credit)]))} |")
            continue
        rows.append(
            f"| **{name}** | {signed(credit.reference)} | {total} | {_residual(credit)} | {signed(credit.total)} "
            f"| {plain('; '.join(remarks(credit)))} |"
        )
    st.caption("\n".join(rows))
    for label, credit in analysis.credits.items():
        if words := instructions(credit):
            st.caption(plain(f"{names.get(label, label)}: {words}"))


def _residual(credit: Credit) -> str:
    """Marked where it is more than a twentieth of what the credits were to explain."""
    assert credit.residual is not None and credit.total is not None and credit.reference is not None
    large = abs(credit.residual) > 0.05 * abs(credit.total - credit.reference) + 1e-4
    return f"**⚠ {signed(credit.residual)}**" if large else signed(credit.residual)
