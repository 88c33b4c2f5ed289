"""The calls that give what Compare shows, to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

import streamlit as st

from redviz.app.session import partners_for, view
from redviz.credit.recipes import Recipe
from redviz.models.spec import ModelSpec, is_rule
from redviz.records import Example

DEFAULT = ModelSpec("")
LOADING = ("device", "dtype", "revision", "head", "read")
FLAGS = {"policy": "--policy", "reference": "--reference", "cost_model": "--cost-model"}


def calls(
    spec: ModelSpec, examples: Sequence[Example], wanted: Mapping[str, Recipe], second: ModelSpec | None = None
) -> None:
    """Draw them: one response under two models where there is a second one."""
    left, right = st.columns(2)
    with left:
        st.markdown("**The same in Python**")
        st.code(as_python(spec, examples, wanted, second), language="python", wrap_lines=True)
    with right:
        st.markdown("**The same in a terminal**")
        st.code(as_cli(spec, examples, wanted, second), language="bash", wrap_lines=True)


def pair_calls(spec: ModelSpec, examples: Sequence[Example]) -> tuple[str, str]:
    """The call in Python and the command in a terminal of a model that scores pairs."""
    loading = ("device", "dtype", "revision")
    lines = ["import redviz", "", f"model = redviz.load_pair_scorer({spec.name!r}{_options(spec, loading)})"]
    lines += ["found = redviz.compare(", f"    model, {_prompt(examples[0])},", "    ["]
    lines += [*(f"        {example.response!r}," for example in examples), "    ],", ")", "found.to_frame()"]
    words = [f"redviz compare --model {shlex.quote(spec.name)}", _asked(examples[0])]
    words += [f"--response={shlex.quote(example.response)}" for example in examples]
    words += [f"--{name} {shlex.quote(value)}" for name in loading if (value := _changed(spec, name))]
    return "\n".join(lines), " \\\n  ".join(words)


def as_python(
    spec: ModelSpec, examples: Sequence[Example], wanted: Mapping[str, Recipe], second: ModelSpec | None
) -> str:
    """The call in Python."""
    told = _prompt(examples[0])
    rules = any(model is not None and is_rule(model.name) for model in (spec, second))
    lines = ["import redviz", *(["from redviz.models.rules.rules import load_rule"] if rules else []), ""]
    lines.append(f"model = {_load(spec)}")
    beside = partners_for(wanted.values())
    for role, other in beside.items():
        loader = "load_reward_model" if role == "cost_model" else "load_policy"
        lines.append(f"{role} = redviz.{loader}({other.name!r}{_options(other, ('device', 'dtype'))})")
    more = "".join(f", {role}={role}" for role in beside)
    methods = f"{_methods(wanted)!r}{more}"
    if second is not None:
        lines += [f"second = {_load(second)}", "found = redviz.compare_models("]
        lines += [f"    model, second, {told},", f"    {examples[0].response!r},", f"    {methods},", ")"]
    else:
        lines += ["found = redviz.compare(", f"    model, {told},", "    ["]
        lines += [f"        {example.response!r}," for example in examples]
        lines += ["    ],", f"    {methods},", ")", "found.margin(0, 1), found.probability(0, 1)"]
    return "\n".join([*lines, f"found.to_frame({view().granularity!r})"])


def as_cli(spec: ModelSpec, examples: Sequence[Example], wanted: Mapping[str, Recipe], second: ModelSpec | None) -> str:
    """The command in a terminal."""
    methods = _methods(wanted)
    chosen = json.dumps(methods, ensure_ascii=False) if isinstance(methods, dict) else ",".join(methods)
    words = [f"redviz compare --model {shlex.quote(spec.name)}", _asked(examples[0])]
    words += [f"--response={shlex.quote(example.response)}" for example in examples]
    words += [f"--model2 {shlex.quote(second.name)}"] if second else []
    words.append(f"--methods {shlex.quote(chosen)}")
    words += [f"--{name} {shlex.quote(str(value))}" for name in LOADING if (value := _changed(spec, name))]
    words += [f"{FLAGS[role]} {shlex.quote(other.name)}" for role, other in partners_for(wanted.values()).items()]
    words.append(f"--granularity {view().granularity}")
    return " \\\n  ".join(words)


def _prompt(example: Example) -> str:
    return repr(example.prompt if isinstance(example.prompt, str) else [dict(m) for m in example.prompt])


def _asked(example: Example) -> str:
    if isinstance(example.prompt, str):
        return f"--prompt {shlex.quote(example.prompt)}"
    return f"--messages {shlex.quote(json.dumps([dict(m) for m in example.prompt], ensure_ascii=False))}"


def _load(spec: ModelSpec) -> str:
    if is_rule(spec.name):
        return f"load_rule({spec.name!r})"
    return f"redviz.load_reward_model({spec.name!r}{_options(spec, LOADING)})"


def _options(spec: ModelSpec, names: Sequence[str]) -> str:
    return "".join(f", {name}={value!r}" for name in names if (value := _changed(spec, name)))


def _changed(spec: ModelSpec, name: str) -> str | None:
    value: str | None = getattr(spec, name)
    return value if value and value != getattr(DEFAULT, name) else None


def _methods(wanted: Mapping[str, Recipe]) -> list[str] | dict[str, dict[str, object]]:
    """The shortest form: names, or label -> the options that differ from their defaults."""
    changed = {
        label: ({} if label == r.method else {"method": r.method})
        | {k: v for k, v in r.options.items() if v != r.info.all_options[k].default}
        for label, r in wanted.items()
    }
    return changed if any(changed.values()) else list(changed)
