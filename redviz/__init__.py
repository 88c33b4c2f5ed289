"""redviz shows which tokens of a response earn its reward."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redviz import returns
    from redviz.analysis import analyze
    from redviz.batches import analyze_batch
    from redviz.comparison import compare, compare_models
    from redviz.credit.advantages import return_curves
    from redviz.credit.recipes import methods
    from redviz.errors import RedvizError
    from redviz.evaluation.conformance.conformance import check_model
    from redviz.evaluation.edits.edits import what_if
    from redviz.models.kinds.function import reward_function
    from redviz.models.kinds.policy import load_policy
    from redviz.models.kinds.value_head import critic_values, load_value_model
    from redviz.models.loading.load import load_reward_model
    from redviz.models.loading.load_pairs import load_pair_scorer
    from redviz.records import Analysis, Credit, Example
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

# Where a public name lives. Each is imported when it is first touched (PEP 562): torch takes seconds, and a module
# that is imported first must not find redviz half made.
_HOMES = {
    "Analysis": "redviz.records",
    "Credit": "redviz.records",
    "Example": "redviz.records",
    "RedvizError": "redviz.errors",
    "analyze": "redviz.analysis",
    "analyze_batch": "redviz.batches",
    "check_model": "redviz.evaluation.conformance.conformance",
    "compare": "redviz.comparison",
    "compare_models": "redviz.comparison",
    "critic_values": "redviz.models.kinds.value_head",
    "load_pair_scorer": "redviz.models.loading.load_pairs",
    "load_policy": "redviz.models.kinds.policy",
    "load_reward_model": "redviz.models.loading.load",
    "load_value_model": "redviz.models.kinds.value_head",
    "methods": "redviz.credit.recipes",
    "return_curves": "redviz.credit.advantages",
    "reward_function": "redviz.models.kinds.function",
    "token_rewards": "redviz.trainer",
    "what_if": "redviz.evaluation.edits.edits",
}


def __getattr__(name: str) -> Any:
    if name == "returns":
        return import_module("redviz.returns")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'redviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
