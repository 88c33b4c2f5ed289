"""Recompute `sample_data/opening.npz`, the stored analysis of the app's opening example. Run after the weights change.

python tools/make_opening.py
"""

import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import redviz  # noqa: E402
from redviz.app.session import example_of  # noqa: E402
from redviz.app.state import DEFAULT  # noqa: E402
from redviz.data.results.archive import save_analysis  # noqa: E402


def make() -> redviz.Analysis:
    """The opening example under the default model and methods."""
    example = example_of(DEFAULT)
    model = redviz.load_reward_model(DEFAULT.model, device="cpu", dtype="float32")
    return replace(redviz.analyze(model, example.prompt, example.response, DEFAULT.methods), example=example)


if __name__ == "__main__":
    save_analysis(make(), ROOT / "sample_data" / "opening.npz")
