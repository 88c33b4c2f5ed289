"""Whatever is imported first, redviz comes up: no circle of imports, and every public name is made when it is touched."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import redviz

ROOT = Path(__file__).parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "redviz").rglob("*.py"))
}
NOT_IMPORTED = (
    "redviz.__main__",
    "redviz.annotation.migrations.env",
)  # the first runs the command, the second alembic's


def at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that happen when a module is imported: not those in functions, nor those for mypy alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from at_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from at_import(getattr(node, part, []))


def named_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that an import may load: `from a import b` is a's, and b's where b is a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def imports_of(module: str) -> set[str]:
    return {name for node in at_import(ast.parse(FILES[module].read_text()).body) for name in named_by(node)}


def test_no_module_comes_back_to_itself():
    imports = {module: (imports_of(module) & FILES.keys()) - {module} for module in FILES}
    assert "redviz.observation" in imports["redviz.records"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as circle:
        pytest.fail(" ← ".join(circle.args[1]))


def test_an_init_file_imports_nothing_of_the_house():
    packages = [module for module, path in FILES.items() if path.name == "__init__.py"]
    assert {module: imports_of(module) & FILES.keys() for module in packages} == dict.fromkeys(packages, set())


def test_every_public_name_is_found_and_shown():
    assert redviz.__all__ == sorted(redviz.__all__)
    assert set(redviz.__all__) <= set(dir(redviz))
    assert redviz.returns is import_module("redviz.returns")
    for name in set(redviz.__all__) - {"returns"}:
        assert getattr(redviz, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'tokens_rewards'"):
        _ = redviz.tokens_rewards


@pytest.mark.parametrize(
    ("kept", "moved"),
    [
        ("redviz.data.dataset", "redviz.data.sets.dataset"),
        ("redviz.data.label_sets", "redviz.data.labels.label_sets"),
    ],
)
def test_import_paths_that_scripts_use_give_what_was_moved(kept, moved):
    old, new = import_module(kept), import_module(moved)
    assert sorted(old.__all__) == sorted(new.__all__)
    assert all(getattr(old, name) is getattr(new, name) for name in new.__all__)


# Reads [statements to run before, statements] and prints those of the second that fail in a process of their own.
EACH_FIRST = """
import gc, json, os, sys, traceback
before, statements = json.load(sys.stdin)
exec("\\n".join(before), {})
assert not [name for name in sys.modules if name.partition(".")[0] == "redviz"]
gc.freeze()
failed = []
for statement in statements:
    child = os.fork()
    if child == 0:
        try:
            exec(statement, {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(statement)
print(json.dumps(failed))
"""


@pytest.mark.slow
def test_every_module_and_every_public_name_can_be_the_first_import():
    modules = sorted(FILES.keys() - set(NOT_IMPORTED))
    statements = [f"__import__({module!r})" for module in modules]
    statements += [f"from redviz import {name}" for name in redviz.__all__]
    statements += [f"import redviz; redviz.{name}" for name in redviz.__all__]
    every_import = [node for module in modules for node in at_import(ast.parse(FILES[module].read_text()).body)]
    others = {ast.unparse(node) for node in every_import if named_by(node)[0].partition(".")[0] != "redviz"}
    ran = subprocess.run(
        [sys.executable, "-c", EACH_FIRST],
        cwd=ROOT,
        input=json.dumps([sorted(others), statements]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == []
