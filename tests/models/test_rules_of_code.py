"""The rule for code: what earns what, to the hundredth, and that pasted code is never run."""

import warnings

import pytest

from redviz.models.rules.rules_of_code import python_static

ASKED = "Write f(x). Mind the empty list."


@pytest.mark.parametrize(
    ("code", "points"),
    [
        ("", 0.0),
        ("Sure", 0.0),
        ("x = 1", 0.0),
        ("class A:\n    def f(x): return 1 if x else 2", 0.0),
        ("def f(x) return x", 0.0),
        ("def g(x): print(x)", 0.2),
        ("def f(x): print(x)", 0.5),
        ("def g(x): return x", 0.5),
        ("def f(x): return", 0.65),
        ("def f(x):\n for a in x: return a", 0.65),
        ("def f(x): return x", 0.8),
        ("async def f(x): return x", 0.8),
        ("def f(x): return x or 1", 1.0),
        ("def f(x): return 1 if x else 2", 1.0),
        ("def g(x): return x or 1\ndef f(x): pass", 0.5),
        ("def f(x): pass\ndef f(x): return x or 1", 1.0),
        ("def f(x):\n def g(): return 1\n print(g)", 0.5),  # a return of another function
    ],
)
def test_python_static(code, points):
    assert python_static(ASKED, code) == points


@pytest.mark.parametrize(
    ("test", "earned"),
    [
        ("x", True),
        ("not x", True),
        ("len(x) == 0", True),
        ("len(x) < 1", True),
        ("len(x)", True),
        ("x == []", True),
        ('x == ""', True),
        ("x is None or not x", True),
        ("len(x) % 2", False),
        ("x[0]", False),
        ("x == [1]", False),
        ("len(x) > 5", False),
        ("not y", False),  # no parameter
        ("max(x) == 0", False),
    ],
)
def test_what_tests_for_the_empty_case(test, earned):
    code = f"def f(x):\n if {test}:\n  return 1\n return 2"
    assert python_static(ASKED, code) == (1.0 if earned else 0.8)
    assert python_static("Write f(x).", code) == 1.0  # nobody asked


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ("if x:\n  return 1\n else:\n  raise ValueError", True),
        ("if x:\n  return 1\n elif y:\n  return 2", False),
        ("with x:\n  return 1", True),
        ("try:\n  return 1\n except E:\n  return 2", True),
        ("try:\n  return 1\n except E:\n  pass", False),
        ("try:\n  g()\n except E:\n  raise\n else:\n  return 1", True),
        ("try:\n  g()\n finally:\n  return 1", True),
        ("while True:\n  return 1", True),
        ("while True:\n  if x: break\n  return 1", False),
        ("while x:\n  return 1", False),
        ("for a in x:\n  return 1\n else:\n  pass", False),
        ("match x:\n  case 1: return 1\n  case _: return 2", True),
        ("match x:\n  case 1: return 1\n  case y: return 2", True),
        ("match x:\n  case 1: return 1\n  case _ if y: return 2", False),
        ("match x:\n  case 1: return 1\n  case 2: return 2", False),
        ("return 1\n print(x)", True),
    ],
)
def test_which_paths_end(body, ends):
    assert python_static("Write f(x).", f"def f(x):\n {body}") == (1.0 if ends else 0.85)


@pytest.mark.parametrize(
    "response",
    [
        "Here:\n```python\ndef f(x): return x or 1\n```\nDone, is it not?",
        "```\ndef f(x): return x or 1",
        "```py \ndef f(x): return x or 1\n```\n```python\nbroken(\n```",
    ],
)
def test_the_first_fenced_block_is_read(response):
    turns = [("user", "Which language?"), ("assistant", "def g(x)"), ("user", ASKED)]
    prompt = tuple({"role": role, "content": content} for role, content in turns)
    assert python_static(ASKED, response) == 1.0
    assert python_static(prompt, response) == 1.0
    assert python_static("A function, please; mind the empty list.", response) == 1.0  # any name
    assert python_static("Write `h(x)` for an Empty list.", response) == 0.7


def test_pasted_code_is_never_run(tmp_path):
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')\n@open({str(mark)!r}, 'w')\ndef f(x=open({str(mark)!r}, 'w')): return x or 1\nf()"
    assert python_static(ASKED, code) == 1.0
    assert not mark.exists()


def test_odd_escapes_do_not_quote_pasted_code_into_the_log():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert python_static(ASKED, 'def f(x): return x or "\\d"') == 1.0
