"""redviz shows which tokens of a response earn its reward."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from redviz import returns
from redviz.errors import RedvizError
from redviz.methods import methods
from redviz.records import Analysis, Credit, Example

if TYPE_CHECKING:
    from redviz.advantages import return_curves
    from redviz.analysis import analyze
    from redviz.batches import analyze_batch
    from redviz.comparison import compare, compare_models
    from redviz.evaluation.conformance import check_model
    from redviz.evaluation.edits import what_if
    from redviz.models.function import reward_function
    from redviz.models.load import load_reward_model
    from redviz.models.load_pairs import load_pair_scorer
    from redviz.models.policy import load_policy
    from redviz.models.value_head import critic_values, load_value_model
    from redviz.trainer import token_rewards

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Credit",
    "Example",
    "RedvizError",
    "analyze",
    "analyze_batch",
    "check_model",
    "compare",
    "compare_models",
    "critic_values",
    "load_pair_scorer",
    "load_policy",
    "load_reward_model",
    "load_value_model",
    "methods",
    "return_curves",
    "returns",
    "reward_function",
    "token_rewards",
    "what_if",
]

# torch and transformers take seconds to import, so what needs them is imported when it is first asked for (PEP 562)
_LATER = {
    "analyze": "redviz.analysis",
    "analyze_batch": "redviz.batches",
    "check_model": "redviz.evaluation.conformance",
    "compare": "redviz.comparison",
    "compare_models": "redviz.comparison",
    "critic_values": "redviz.models.value_head",
    "load_pair_scorer": "redviz.models.load_pairs",
    "load_policy": "redviz.models.policy",
    "load_reward_model": "redviz.models.load",
    "load_value_model": "redviz.models.value_head",
    "return_curves": "redviz.advantages",
    "reward_function": "redviz.models.function",
    "token_rewards": "redviz.trainer",
    "what_if": "redviz.evaluation.edits",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'redviz' has no attribute {name!r}")
