"""Options are checked where recipes are read, before any model runs."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from redviz import returns
from redviz.credit.method import FAMILIES
from redviz.credit.recipes import METHODS, recipes
from redviz.errors import RedvizError

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import make_method_table  # noqa: E402


@pytest.mark.parametrize(
    ("method", "option", "value", "message"),
    [
        ("red", "beta_c", "1", "red.beta_c is '1'; give a number from 0 to 1"),
        ("red", "beta_c", 1.5, "from 0 to 1"),
        ("red", "beta_c", 10**400, "from 0 to 1"),
        ("red", "beta_c", float("nan"), "from 0 to 1"),
        ("red", "beta_c", True, "from 0 to 1"),
        ("red", "beta_c", None, "from 0 to 1"),
        ("red", "initial", "zero", "use one of prefix, zero_first, zero_base"),
        ("red", "initial", ["prefix"], "use one of"),
        ("abc", "layer", 1.0, "give a whole number"),
        ("abc", "layer", True, "give a whole number"),
        ("abc", "layer", None, "give a whole number"),
        ("abc", "heads", "0", "give whole numbers"),
        ("abc", "heads", [0, 1.5], "give whole numbers"),
        ("abc", "heads", [True], "give whole numbers"),
        ("abc", "heads", [], "give whole numbers"),
        ("abc", "heads", {0: 1}, "give whole numbers"),
        ("ig", "steps", 0, "from 1 to 1024"),
        ("ig", "steps", 100_000, "from 1 to 1024"),
        ("ig", "steps", [16], "from 1 to 1024"),
    ],
)
def test_values_that_an_option_may_not_have(method, option, value, message):
    with pytest.raises(RedvizError, match=message) as caught:
        recipes({method: {option: value}})
    assert str(caught.value).count(".\n") == 0 and str(caught.value).endswith(".")


def test_values_become_plain_python_so_that_one_wish_has_one_key():
    found = recipes({"red": {"beta_c": 1}, "abc": {"heads": np.int64(2), "layer": np.int64(1)}, "ig": {"steps": 1024}})
    assert repr(found["red"].options["beta_c"]) == "1.0"
    assert repr(found["abc"].options["heads"]) == "[2]" and repr(found["abc"].options["layer"]) == "1"
    assert found["ig"].options["steps"] == 1024
    assert recipes({"abc": {"heads": (0, 2)}})["abc"].options["heads"] == [0, 2]
    assert recipes({"abc": {"heads": None}, "ig": {"steps": None}})["abc"].options["heads"] is None


def test_every_default_is_a_value_that_is_allowed():
    for name, info in METHODS.items():
        for key, option in info.options.items():
            assert option.check(f"{name}.{key}", option.default) == option.default


@pytest.mark.parametrize(
    "wanted", [3, None, {"red"}, [["red"]], {"red": None}, {"red": ["beta_c"]}, {"a": {"method": []}}]
)
def test_what_is_neither_names_nor_options_by_label(wanted):
    with pytest.raises(RedvizError, match=r"give a list|give an object|There is no method"):
        recipes(wanted)


def test_the_table_in_the_docs_is_the_table():
    page = make_method_table.PAGE.read_text(encoding="utf-8")
    assert page == make_method_table.page_with(make_method_table.method_table(), page), "run tools/make_method_table.py"
    assert all(f"\n| `{name}` " in page for name in METHODS)


def test_every_return_has_its_row_in_the_docs():
    page = make_method_table.PAGE.read_text(encoding="utf-8")
    public = [name for name, made in vars(returns).items() if inspect.isfunction(made) and not name.startswith("_")]
    assert len(public) >= 8
    assert [name for name in public if f"| `returns.{name}` |" not in page] == []


def test_what_is_said_of_a_method_is_complete():
    for name, info in METHODS.items():
        assert info.family in FAMILIES, name
        assert all((info.label, info.paper, info.cost, info.formula, info.identity, info.sums_to)), name
        assert set(info.extras) <= set(info.options), name
        assert all(option.help.endswith(".") for option in info.all_options.values()), name
    labels = [info.label for info in METHODS.values()]
    assert len(set(labels)) == len(labels)


def test_a_switch_is_true_or_false():
    assert recipes({"shapley": {"owen": True}})["shapley"].options["owen"] is True
    with pytest.raises(RedvizError, match="use true or false"):
        recipes({"shapley": {"owen": 1}})
