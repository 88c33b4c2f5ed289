"""What a person has chosen, as one record: kept in the browser session, written into the link, stored when a link is copied."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from redviz import settings
from redviz.credit.advantages import BASELINES
from redviz.credit.recipes import Recipe, recipes
from redviz.errors import RedvizError
from redviz.text import GRANULARITIES
from redviz.view.lanes import LAYOUTS, SCALES

OPENING = "film-quiet-street/a"
VIEW_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class ViewState:
    """Everything that decides what Inspect shows.

    Attributes
    ----------
    model, device, dtype, revision, head, read, template
        The model and how it is loaded.
    policy, reference, cost_model, value_model
        Models beside it, for methods that need them and for the critic of the return curves; "" is none.
    example
        A gallery id "item/response", or "" where ``prompt`` and ``response`` hold the text.
    methods
        Label -> ``{"method": ..., option: value}``; options at their defaults are left out.
    granularity, layout, scale, text_size
        How the strips are drawn.
    rewards, gamma, lam, baseline, constant
        Which method's credits are the token rewards of the return curves, and the curves' knobs.
    pin
        The pinned token, or None.
    """

    model: str = "embedded:sentiment"
    device: str = "auto"
    dtype: str = "auto"
    revision: str = ""
    head: str = ""
    read: str = "model"
    template: str = ""
    policy: str = "embedded:writer-dpo"
    reference: str = "embedded:writer"
    cost_model: str = ""
    value_model: str = ""
    example: str = OPENING
    prompt: Any = ""
    response: str = ""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"red": {}, "abc": {}, "ig": {}})
    granularity: str = "token"
    layout: str = "lanes"
    scale: str = "own"
    text_size: int = 17
    rewards: str = "red"
    gamma: float = 1.0
    lam: float = 1.0
    baseline: str = "zero"
    constant: float = 0.0
    pin: int | None = None

    @property
    def recipes(self) -> dict[str, Recipe]:
        return recipes(self.methods)

    def with_option(self, label: str, name: str, value: Any) -> ViewState:
        """The same view with one option of one method changed."""
        own = {**self.methods[label], name: value}
        return replace(self, methods={**self.methods, label: own})


DEFAULT = ViewState()
CHOICES: dict[str, tuple[str, ...]] = {
    "granularity": GRANULARITIES,
    "layout": LAYOUTS,
    "scale": SCALES,
    "baseline": BASELINES,
    "read": ("model", "last"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "dtype": ("auto", "float32", "bfloat16", "float16", "8bit", "4bit"),
}
RANGES: dict[str, tuple[float, float]] = {"gamma": (0.0, 1.0), "lam": (0.0, 1.0), "text_size": (12, 40)}
TEXT_FIELDS = ("prompt", "response")
MOST_METHODS = 9  # keys 1-9 show one alone


def to_query(state: ViewState) -> dict[str, str]:
    """The view as link parameters: what differs from the default, texts left out (they travel by a stored view's id)."""
    query = {}
    for name, value in asdict(state).items():
        if name in TEXT_FIELDS or value == getattr(DEFAULT, name):
            continue
        query[name] = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return query


def from_query(query: Mapping[str, str]) -> tuple[ViewState, str]:
    """The view a link asks for, and a sentence where part of it could not be followed ("" where all could)."""
    if view := query.get("view"):
        try:
            stored = load_view(view)
            return (replace(stored, pin=_checked({"pin": query["pin"]})[0].pin) if "pin" in query else stored), ""
        except RedvizError as error:
            return DEFAULT, str(error)
    return _checked(
        {name: query[name] for name in query if name in {f.name for f in fields(ViewState)} - set(TEXT_FIELDS)}
    )


def save_view(state: ViewState) -> str:
    """Store a view with its text under a new 128-bit id in ``REDVIZ_HOME/views``; the id."""
    if settings.demo_mode():
        raise RedvizError(
            "This public server stores no text, so a link to your own text cannot be made; download the report instead."
        )
    folder = settings.home() / "views"
    folder.mkdir(parents=True, exist_ok=True)
    view = secrets.token_hex(16)
    (folder / f"{view}.json").write_text(json.dumps(asdict(state), ensure_ascii=False), encoding="utf-8")
    return view


def load_view(view: str) -> ViewState:
    """A stored view by its id."""
    path = _view_path(view)
    if not path.exists():
        raise RedvizError(
            "This link's view is not stored on this server any more; ask its sender for the text or the report."
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedvizError(f"This link's view cannot be read ({error}); ask its sender for a new link.") from error
    state, problem = _checked(
        {k: v if isinstance(v, str) else json.dumps(v) for k, v in stored.items() if k not in TEXT_FIELDS}
    )
    if problem:
        raise RedvizError(problem)
    prompt = stored.get("prompt", "")
    return replace(
        state, prompt=prompt if isinstance(prompt, str) else tuple(prompt), response=stored.get("response", "")
    )


def delete_view(view: str) -> None:
    """Forget a stored view."""
    _view_path(view).unlink(missing_ok=True)


def _view_path(view: str) -> Path:
    if not VIEW_ID.fullmatch(view):
        raise RedvizError("This link's view id is not one that redviz wrote; copy the whole link again.")
    return settings.home() / "views" / f"{view}.json"


def _checked(given: Mapping[str, str]) -> tuple[ViewState, str]:
    """Read parameters one by one; what makes no sense keeps its default and is named."""
    values: dict[str, Any] = {}
    bad = []
    for name, text in given.items():
        try:
            values[name], left_out = _methods(text) if name == "methods" else (_value(name, text), [])
            bad += left_out
        except RedvizError as error:
            bad.append(f"{name}: {str(error).rstrip('.')}")
        except (ValueError, TypeError):
            bad.append(name)
    state = replace(DEFAULT, **values)
    if state.rewards not in state.methods:
        state = replace(state, rewards=next(iter(state.methods)))
    return state, f"Part of this link could not be followed ({'; '.join(bad)}); the rest stands." if bad else ""


def _methods(text: str) -> tuple[Mapping[str, Any], list[str]]:
    """The methods of a link that make sense, and what is wrong with the others."""
    asked = json.loads(text)
    if not isinstance(asked, dict) or not asked:
        raise ValueError("methods")
    kept: dict[str, Any] = {}
    left_out = []
    for label, options in asked.items():
        try:
            recipes({label: options})
        except RedvizError as error:
            left_out.append(str(error).rstrip("."))
            continue
        if len(kept) < MOST_METHODS:
            kept[label] = options
        else:
            left_out.append(f"{label}: at most {MOST_METHODS} methods are drawn")
    if not kept:
        raise RedvizError(left_out[0])
    return kept, left_out


def _value(name: str, text: str) -> Any:
    default = getattr(DEFAULT, name)
    value: Any = text if isinstance(default, str) else json.loads(text)
    if name == "constant" and not (isinstance(value, (int, float)) and math.isfinite(value)):
        raise ValueError(name)
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(name)
    if name in RANGES and not RANGES[name][0] <= value <= RANGES[name][1]:
        raise ValueError(name)
    if name == "pin" and value is not None and (type(value) is not int or value < 0):
        raise ValueError(name)
    return type(default)(value) if isinstance(default, (int, float)) else value
