"""The rules of the house that no linter knows."""

import ast
import doctest
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from redviz.cli.extras import EXTRAS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "redviz"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def too_long(folder: str, limit: int) -> dict[str, int]:
    lengths = {name(p): len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    assert lengths, f"no files found in {folder}/"
    return {path: n for path, n in lengths.items() if n > limit}


def test_files_stay_small_enough_to_read():
    assert too_long("redviz", 350) == {}


def test_a_page_only_asks_its_screen():
    assert too_long("pages", 15) == {}


def test_no_folder_hides_a_file_of_its_name():
    assert [name(p) for p in PACKAGE.rglob("*.py") if p.with_suffix("").is_dir()] == []


THREE_TESTS = """
import time, pytest

def busy():
    end = time.process_time() + 0.6
    while time.process_time() < end:
        pass

def test_busy():
    busy()

@pytest.mark.slow
def test_busy_and_marked():
    busy()

def test_waiting():
    time.sleep(0.6)
"""


def test_a_test_that_takes_more_than_its_seconds_fails_and_is_named(tmp_path):
    (tmp_path / "conftest.py").write_text("import seconds\nfrom seconds import *\nseconds.LIMIT = 0.05\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (tmp_path / "test_three.py").write_text(THREE_TESTS)
    command = [sys.executable, "-m", "pytest", "-n1", "-rf", "-p", "no:cacheprovider", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert "FAILED test_three.py::test_busy - test_three.py::test_busy took 0." in said.replace("Failed: ", "")
    assert "more than the 0.05 a test may take" in said and "1 failed, 2 passed" in said


def test_files_are_named_after_what_they_hold():
    vague = re.compile(r"(.*_)?(utils?|helpers?|misc|common|manager|handler)\.py")
    assert [name(p) for p in PACKAGE.rglob("*.py") if vague.fullmatch(p.name)] == []


def test_no_room_reaches_another_through_the_package_itself():
    # import-linter sees `from redviz import analyze` as an import of redviz/__init__.py, which names every room.
    above = {PACKAGE / "__init__.py", PACKAGE / "__main__.py", *(PACKAGE / "cli").rglob("*.py")}
    rooms = {p.stem for p in PACKAGE.iterdir()}
    taken = {
        f"{name(p)}: {alias.name}"
        for p in set(PACKAGE.rglob("*.py")) - above
        for node in ast.walk(ast.parse(p.read_text()))
        for alias in from_the_package(node)
        if alias.name not in rooms | {"__version__"}
    }
    assert taken == set()


def from_the_package(node: ast.AST) -> list[ast.alias]:
    """What `import redviz` or `from redviz import ...` names."""
    if isinstance(node, ast.ImportFrom) and node.module == "redviz":
        return node.names
    return [alias for alias in node.names if alias.name == "redviz"] if isinstance(node, ast.Import) else []


def test_importing_redviz_is_light():
    code = "import sys, redviz; print(redviz.__file__, *sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    file, *modules = out.split()
    assert Path(file) == PACKAGE / "__init__.py"
    assert {m.partition(".")[0] for m in modules} & {
        "streamlit",
        "plotly",
        "captum",
        "duckdb",
        "ray",
        "sqlalchemy",
        "alembic",
        "psycopg",
    } == set()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "requirements-ray.txt"])
def test_requirements_are_pinned_exactly(file):
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    wanted = [line for line in lines if line and line != "-r requirements.txt"]
    assert wanted, f"{file} asks for nothing"
    exact = r"[A-Za-z0-9._-]+(\[[a-z,_-]+\])?==\d+(\.\d+)*((a|b|rc|\.post)\d+)?( *;.*)?"
    assert [line for line in wanted if not re.fullmatch(exact, line)] == []


def asked_for() -> dict[str, dict[str, Requirement]]:
    """By extra ("" for the core), then by name: what the package asks for, the extras that an extra takes in included."""
    groups = {"": PYPROJECT["project"]["dependencies"], **PYPROJECT["project"]["optional-dependencies"]}
    read = {extra: [Requirement(line) for line in lines] for extra, lines in groups.items()}
    found = {}
    for extra, wanted in read.items():
        taken_in = [r for own in wanted if own.name == "redviz" for inner in own.extras for r in read[inner]]
        found[extra] = {canonicalize_name(r.name): r for r in [*wanted, *taken_in] if r.name != "redviz"}
    return found


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", ("", "app")), ("requirements-dev.txt", ("dev",)), ("requirements-ray.txt", ("ray",))],
)
def test_the_pins_stand_within_what_the_package_asks_for(file, extras):
    ranges = {name: asked for extra in extras for name, asked in asked_for()[extra].items()}
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("-r ")]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    elsewhere = {"scikit-learn"} if file == "requirements.txt" else set()  # for tests and programs around the package
    assert pinned.keys() - ranges.keys() == elsewhere
    assert [name for name, version in pinned.items() if name in ranges and version not in ranges[name].specifier] == []


def test_the_core_asks_for_no_exact_version_and_for_no_app():
    core = asked_for()[""]
    assert [
        name for name, asked in core.items() if any(one.operator in ("==", "===", "~=") for one in asked.specifier)
    ] == []
    assert (
        core.keys() & {"streamlit", "plotly", "authlib", "psycopg", "sqlalchemy", "alembic", "duckdb", "ray"} == set()
    )


def test_whatever_is_imported_is_asked_for_and_a_command_can_say_where():
    of = importlib.metadata.packages_distributions() | {"ray": ["ray"]}  # Ray may not be here
    extras = asked_for()
    imported = {}
    for p in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(p.read_text())):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            named += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            imported |= {n.partition(".")[0]: name(p) for n in named}
    others = {module: p for module, p in imported.items() if module not in sys.stdlib_module_names | {"redviz"}}
    brought = {module: {canonicalize_name(d) for d in of[module]} for module in others}
    assert {module for module, by in brought.items() if not by & extras[""].keys()} == EXTRAS.keys() - {"psycopg"} | {
        "kaleido"
    }
    for module, extra in EXTRAS.items():
        assert module in extras[extra]


def test_readme_names_the_two_commands_and_no_target_that_is_not_there():
    readme = ROOT / "README.md"
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)(?=[`\s)])", "\n".join(code_of(readme.read_text()))))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"app", "test"} <= named
    assert named <= targets


def test_paths_that_the_pages_name_are_there():
    pages = [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md"), *PACKAGE.rglob("*.md")]
    named = {
        (name(page), path)
        for page in pages
        for path in re.findall(
            r"(?<![\w/.-])((?:redviz|pages|training|tools|benchmarks|tests)/[\w/.-]*\w/?)", page.read_text()
        )
    }
    assert ("docs/architecture.md", "redviz/credit/from_records/") in named
    assert {(page, path) for page, path in named if not (ROOT / path).exists()} == set()


def code_of(markdown: str) -> list[str]:
    """Fenced blocks and inline code, so that 'make sure' in a sentence is no target."""
    blocks = re.findall(r"^```.*?^```", markdown, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return blocks + [f"{code}\n" for code in re.findall(r"`([^`\n]+)`", rest)]


def with_examples() -> list[str]:
    """Modules whose docstrings hold an example."""
    files = [p for p in PACKAGE.rglob("*.py") if ">>> " in p.read_text()]
    return sorted(".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in files)


@pytest.mark.parametrize("module", with_examples())
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(
        importlib.import_module(module), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.attempted > 0, "the example is in no docstring"
    assert result.failed == 0


# ---------------------------------------------------------------- what ships


def test_every_data_file_of_the_package_is_in_the_wheel():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["redviz"]
    shipped = {p for pattern in patterns for p in PACKAGE.glob(pattern)}
    data = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert sorted(name(p) for p in data - shipped) == []


def test_every_file_of_the_app_is_in_the_wheel():
    mapping = PYPROJECT["tool"]["setuptools"]["data-files"]
    shipped = set()
    for folder, patterns in mapping.items():
        for p in (p for pattern in patterns for p in ROOT.glob(pattern)):
            assert Path(folder) == Path("share/redviz") / p.relative_to(ROOT).parent, f"{name(p)} would land elsewhere"
            shipped.add(p)
    folders = [p for part in ("pages", "sample_data", ".streamlit") for p in (ROOT / part).rglob("*")]
    wanted = {p for p in (ROOT / "app.py", *folders) if p.is_file() and p.suffix != ".pyc"}
    wanted.discard(ROOT / ".streamlit" / "secrets.toml")
    assert sorted(name(p) for p in wanted - shipped) == []


@pytest.mark.slow
def test_the_wheel_carries_the_app(tmp_path):
    clone = shutil.copytree(
        ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(".venv", ".git", "build", ".*_cache")
    )
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(clone)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {re.sub(r"^redviz-[^/]*\.data/data/share/redviz/", "", n) for n in zipfile.ZipFile(wheel).namelist()}
    ours = [p for part in ("redviz", "pages", "sample_data") for p in (ROOT / part).rglob("*") if p.is_file()]
    wanted = {name(p) for p in ours if p.suffix != ".pyc"} | {"app.py", ".streamlit/config.toml"}
    assert wanted - inside == set()


# ---------------------------------------------------------------- how it starts


def test_streamlit_is_told_what_a_shared_server_must_not_do():
    from streamlit import config

    table = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    given = dict(flat(table))
    known = config.get_config_options()
    assert [key for key in given if key not in known] == [], "Streamlit would ignore these"
    assert given["client.showErrorDetails"] == "none"  # no traceback with the server's paths
    assert given["server.address"] == "localhost"  # not the whole network
    assert given["browser.gatherUsageStats"] is False  # nothing leaves the machine
    assert given["server.showEmailPrompt"] is False  # a fresh home would stop at a question


def flat(table: dict, prefix: str = ""):
    for key, value in table.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


def test_make_refuses_an_older_python_in_one_sentence(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 9, 7, 'final', 0)\nexec(sys.argv[2])\n")
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    made = subprocess.run(["make", "app", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode != 0
    sentence = made.stderr.splitlines()[0]
    assert sentence == "redviz needs Python 3.11 or newer; this is 3.9: run make PYTHON=/path/to/python3.11"
    assert not (tmp_path / ".venv").exists()


def test_ci_can_run_its_script():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
