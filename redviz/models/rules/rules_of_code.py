"""A rule for code: what a Python function earns by its syntax tree. It is read and never run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from redviz.models.rules.rules_of_text import MOST, user_turns
from redviz.records import Prompt

FENCE = re.compile(r"```[ \t]*(?:(?:python|py)[ \t]*)?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
CALLED = re.compile(r"([A-Za-z_]\w*)\(")
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # all that ast.parse raises on a hostile text
Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_static(prompt: Prompt, response: str) -> float:
    """A sum of up to 1 for a Python function, by its syntax tree alone.

    The first fenced block is read, or the whole response where there is none. A text that does not parse or defines no function
    at its top level earns 0. Else 0.2, and on top of it: 0.3 where a function has the name asked for (the first ``name(`` in the
    user's last turn; any name where none is asked for); 0.15 where it returns a value; 0.15 where every path through it returns
    or raises; 0.2 where one of its conditions tests a parameter for emptiness (``not x``, ``len(x) == 0``, ``x == []``), or the
    prompt does not say "empty". What the function computes earns nothing.
    """
    fenced = FENCE.search(response[:MOST])
    asked = user_turns(prompt)[-1][:MOST]
    called = CALLED.search(asked)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd escapes: they quote the pasted code into the log
            tree = ast.parse(fenced[1] if fenced else response[:MOST])
        functions = [node for node in tree.body if isinstance(node, Function)]
        if not functions:
            return 0.0
        named = [function for function in functions if called is None or function.name == called[1]]
        function = (named or functions)[-1]
        points = 20 + 30 * bool(named)
        points += 15 * any(isinstance(node, ast.Return) and node.value is not None for node in _own_nodes(function))
        points += 15 * _ends(function.body)
        points += 20 * ("empty" not in asked.lower() or _tests_for_empty(function))
    except UNREADABLE:
        return 0.0
    return points / 100


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Everything in a function but what stands in functions and classes within it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Whether no path falls off the end of these statements."""
    return any(_statement_ends(statement) for statement in body)


def _statement_ends(node: ast.stmt) -> bool:
    match node:
        case ast.Return() | ast.Raise():
            return True
        case ast.If():
            return _ends(node.body) and _ends(node.orelse)
        case ast.With() | ast.AsyncWith():
            return _ends(node.body)
        case ast.Try() | ast.TryStar():
            tried = _ends(node.body) or _ends(node.orelse)
            return (tried and all(_ends(handler.body) for handler in node.handlers)) or _ends(node.finalbody)
        case ast.While(test=ast.Constant(value=True)):
            return not any(isinstance(inner, ast.Break) for inner in ast.walk(node))
        case ast.Match():
            last = node.cases[-1]
            whatever = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
            return whatever and all(_ends(case.body) for case in node.cases)
    return False


def _tests_for_empty(function: Function) -> bool:
    arguments = function.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in listed if argument}
    for node in _own_nodes(function):
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and _is_empty_test(node.test, names):
            return True
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and _is_empty_test(node.values[0], names):
            return True
    return False


def _is_empty_test(test: ast.expr, names: set[str]) -> bool:
    match test:
        case ast.Name(id=name):
            return name in names
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_empty_test(operand, names)
        case ast.BoolOp(values=values):
            return any(_is_empty_test(value, names) for value in values)
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]):
            return name in names
        case ast.Compare(
            left=ast.Name(), comparators=[ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Constant(value="")]
        ):
            return _is_empty_test(test.left, names)
        case ast.Compare(left=ast.Call(), comparators=[ast.Constant(value=0 | 1)]):
            return _is_empty_test(test.left, names)
    return False
