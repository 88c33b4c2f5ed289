"""redviz shows which tokens of a response earn its reward."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from redviz import returns
from redviz.errors import RedvizError
from redviz.methods import methods
from redviz.records import Analysis, Credit, Example

if TYPE_CHECKING:
    from redviz.analysis import analyze, analyze_batch
    from redviz.evaluation.conformance import check_model
    from redviz.models.load import load_reward_model

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Credit",
    "Example",
    "RedvizError",
    "analyze",
    "analyze_batch",
    "check_model",
    "load_reward_model",
    "methods",
    "returns",
]

# torch and transformers take seconds to import, so what needs them is imported when it is first asked for (PEP 562)
_LATER = {
    "analyze": "redviz.analysis",
    "analyze_batch": "redviz.analysis",
    "check_model": "redviz.evaluation.conformance",
    "load_reward_model": "redviz.models.load",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'redviz' has no attribute {name!r}")
