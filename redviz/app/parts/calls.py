"""The calls that give what a screen shows, to copy: "the same in Python" and "the same in a terminal"."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from redviz.app.state import ViewState
from redviz.credit.ingredients import needed_partners
from redviz.credit.recipes import Recipe
from redviz.models.spec import LOADERS, NOBODY, ModelSpec, PartnerSpecs, is_rule
from redviz.records import Example


@dataclass(frozen=True)
class Calls:
    """The same call twice."""

    python: str
    terminal: str

    def show(self, help: str | None = None) -> None:
        """Draw both; ``help`` says what the command does not give."""
        for side, title, language, code in zip(
            st.columns(2), ("Python", "a terminal"), ("python", "bash"), (self.python, self.terminal), strict=True
        ):
            side.markdown(f"**The same in {title}**", help=help if language == "bash" else None)
            side.code(code, language=language, wrap_lines=True)


def analyze_calls(
    spec: ModelSpec,
    example: Example,
    wanted: Mapping[str, Recipe],
    partners: PartnerSpecs,
    state: ViewState,
    group: Sequence[str],
) -> Calls:
    """One response, and its return curves as ``state`` has them; ``group`` holds other responses, for a baseline that needs them."""
    beside = _needed(wanted, partners)
    critic = partners.get("value_model") if state.baseline == "value model" else None
    roles = [f"{role}={role}" for role in beside]
    curves = ["analysis", repr(state.rewards)]
    curves += [f"{name}={getattr(state, name)!r}" for name in ("gamma", "lam", "baseline", "constant")]
    lines = _loaded({"model": spec, **beside, **({"critic": critic} if critic else {})})
    lines += [
        _call(
            "analysis", "analyze", "model", *map(repr, (_prompt(example), example.response, _methods(wanted))), *roles
        )
    ]
    lines += ["analysis.to_frame()", ""]
    if critic:
        curves.append("values=redviz.critic_values(critic, analysis.observation.encoding)")
    elif group and state.rewards in wanted:
        asked = f"analysis.prompt, other, {_methods({state.rewards: wanted[state.rewards]})!r}"
        one = f"redviz.analyze({', '.join(['model', asked, *roles])}).credits[{state.rewards!r}].values"
        curves.append(f"group=[{one} for other in {list(group)!r}]")
    lines.append(_call("curves", "return_curves", *curves))
    return Calls("\n".join(lines), _command("analyze", spec, [example], beside, wanted, state.granularity))


def compare_calls(
    spec: ModelSpec,
    examples: Sequence[Example],
    wanted: Mapping[str, Recipe],
    partners: PartnerSpecs = NOBODY,
    granularity: str = "",
    second: ModelSpec | None = None,
) -> Calls:
    """Responses to one prompt, or one of them under a ``second`` model too. Of a model that scores pairs, no methods are wanted."""
    beside = _needed(wanted, partners)
    told = [repr(_methods(wanted)), *(f"{role}={role}" for role in beside)] if wanted else []
    lines = _loaded({"model": spec, **({"second": second} if second else {}), **beside})
    if second:
        texts = repr(_prompt(examples[0])), repr(examples[0].response)
        lines.append(_call("compared", "compare_models", "model", "second", *texts, *told))
    else:
        responses = ",\n        ".join(repr(example.response) for example in examples)
        lines.append(
            _call("compared", "compare", "model", repr(_prompt(examples[0])), f"[\n        {responses},\n    ]", *told)
        )
        lines += ["compared.margin(0, 1), compared.probability(0, 1)"] if wanted else []
    lines.append(f"compared.to_frame({granularity!r})" if wanted else "compared.to_frame()")
    return Calls("\n".join(lines), _command("compare", spec, examples, beside, wanted, granularity, second))


def _loaded(named: Mapping[str, ModelSpec]) -> list[str]:
    rules = any(is_rule(spec.name) for spec in named.values())
    imports = ["import redviz", *(["from redviz.models.rules.rules import load_rule"] if rules else []), ""]
    return [*imports, *(f"{name} = {_load(spec)}" for name, spec in named.items())]


def _load(spec: ModelSpec) -> str:
    if is_rule(spec.name):
        return f"load_rule({spec.name!r})"
    options = [f"{name}={value!r}" for name, value in _options(spec).items()]
    return f"redviz.{LOADERS[spec.role][1]}({', '.join([repr(spec.name), *options])})"


def _options(spec: ModelSpec) -> dict[str, object]:
    """How it is loaded, where that is not as by default."""
    unknown = ("name", "role", *LOADERS[spec.role][2])
    return {
        name: value for name, value in vars(spec).items() if name not in unknown and value != vars(ModelSpec(""))[name]
    }


def _call(name: str, verb: str, *arguments: str) -> str:
    return f"{name} = redviz.{verb}(\n    " + ",\n    ".join(arguments) + ",\n)"


def _command(
    verb: str,
    spec: ModelSpec,
    examples: Sequence[Example],
    beside: PartnerSpecs,
    wanted: Mapping[str, Recipe],
    granularity: str,
    second: ModelSpec | None = None,
) -> str:
    prompt, methods = _prompt(examples[0]), _methods(wanted)
    flags = [
        ("model", spec.name),
        ("prompt", prompt) if isinstance(prompt, str) else ("messages", json.dumps(prompt, ensure_ascii=False)),
        *(("response", example.response) for example in examples),
        ("model2", second.name if second else ""),
        ("methods", json.dumps(methods, ensure_ascii=False) if isinstance(methods, dict) else ",".join(methods)),
        *_options(spec).items(),
        *((role.replace("_", "-"), partner.name) for role, partner in beside.items()),
        ("granularity", granularity),
    ]
    words = [f"--{name}={shlex.quote(str(value))}" for name, value in flags if value or name in ("prompt", "response")]
    return " \\\n  ".join([f"redviz {verb}", *words])


def _prompt(example: Example) -> str | list[dict[str, str]]:
    return example.prompt if isinstance(example.prompt, str) else [dict(message) for message in example.prompt]


def _needed(wanted: Mapping[str, Recipe], partners: PartnerSpecs) -> dict[str, ModelSpec]:
    """The partners that some method asks for."""
    needed = needed_partners(wanted.values())
    return {role: spec for role, spec in partners.items() if role in needed}


def _methods(wanted: Mapping[str, Recipe]) -> list[str] | dict[str, dict[str, object]]:
    """The shortest form: names, or label -> the options that differ from their defaults."""
    changed = {
        label: ({} if label == r.method else {"method": r.method})
        | {k: v for k, v in r.options.items() if v != r.info.all_options[k].default}
        for label, r in wanted.items()
    }
    return changed if any(changed.values()) else list(changed)
