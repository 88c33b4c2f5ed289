"""Rules that ship with redviz as reward models, by name: outcome rewards for the app and the command line.

A rule is a function of a prompt and a response that only reads: nothing in either is ever run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel, reward_function
from redviz.models.rules.rules_of_code import python_static
from redviz.models.rules.rules_of_text import dialogue, exact_answer, summary
from redviz.records import Prompt


@dataclass(frozen=True)
class Rule:
    """A named reward function: what a picker shows of it, and the tokens that suit its texts ("word" or "line")."""

    name: str
    title: str
    description: str
    function: Callable[[Prompt, str], float]
    split: str = "word"


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "rule:exact-answer",
            "Exact answer",
            "1 where the number after “Answer:”, “####” or in \\boxed{} is the reference answer, 0.1 where it is another, 0 without one.",
            exact_answer,
        ),
        Rule(
            "rule:python-static",
            "Python, read but never run",
            "Up to 1 for code that parses, defines the function asked for, returns on every path and tests for the empty case.",
            python_static,
            "line",
        ),
        Rule(
            "rule:summary",
            "Summary",
            "The share of the text's key facts that are named, less what is over the length budget and numbers that are made up.",
            summary,
        ),
        Rule(
            "rule:dialogue",
            "Dialogue",
            "Up to 1 for a short reply that repeats the day, the time and the amounts agreed on and asks at most one question.",
            dialogue,
        ),
    )
}


def load_rule(name: str) -> FunctionModel:
    """One of ``RULES`` as a reward model.

    Raises
    ------
    RedvizError
        Where no rule has this name.

    Examples
    --------
    >>> load_rule("rule:exact-answer").score_texts("6 times 7? (answer: 42)", ["Answer: 42", "42"]).tolist()
    [1.0, 0.0]
    """
    if name not in RULES:
        raise RedvizError(f"There is no rule {name!r}; use one of {', '.join(RULES)}.")
    rule = RULES[name]
    return reward_function(rule.function, name=rule.name, split=rule.split)
