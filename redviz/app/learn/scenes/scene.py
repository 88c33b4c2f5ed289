"""What a scene of the Learn screen is: its words, its knobs, and how it is drawn from the engine's results."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redviz.app.engine import Engine
from redviz.app.worker import Job
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.spec import PARTNERS, ModelSpec
from redviz.records import Analysis, Example
from redviz.view.colour import LIGHT, Theme

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

JUDGE = "embedded:sentiment"
Wanted = tuple[Hashable, Callable[[], Job]]
Value = str | int | float


@dataclass(frozen=True)
class Knob:
    """One thing that a person may move.

    Attributes
    ----------
    name
        In the link; no field of the view of Inspect, which shares the address bar.
    label, help
        What a person reads.
    default
        Its value at first; an int makes an integer slider.
    options
        The values of a choice; empty makes a slider.
    names
        What a person reads instead of an option.
    low, high, step
        Of a slider.
    """

    name: str
    label: str
    default: Value
    options: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    low: float = 0.0
    high: float = 1.0
    step: float = 0.05
    help: str = ""

    def read(self, text: str) -> Value:
        """The value that a link gives.

        Raises
        ------
        RedvizError
            Where it is none of the options, no number, or out of range.

        Examples
        --------
        >>> Knob("t", "Tokens", 3, low=0, high=9, step=1).read("4")
        4
        """
        if self.options:
            if text not in self.options:
                raise RedvizError(f"{self.name} is {text!r}; use one of {', '.join(self.options)}.")
            return text
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        whole = isinstance(self.default, int)
        if not self.low <= value <= self.high or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise RedvizError(f"{self.name} is {text!r}; give {kind} from {self.low:g} to {self.high:g}.")
        return int(value) if whole else value

    def write(self, value: Value) -> str:
        """The value as a link carries it."""
        return value if isinstance(value, str) else f"{value:.10g}"


@dataclass(frozen=True)
class CreditStrip:
    """Credits of an analysis drawn on its text; the fields are those of :func:`redviz.view.strip.strips`."""

    analysis: Analysis
    labels: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    granularity: str = "token"
    scale: str = "own"
    limits: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Drawn:
    """What a scene shows with its knobs as they stand.

    Attributes
    ----------
    parts
        In order: Plotly figures, strips, small tables, and sentences (Markdown) of live numbers.
    inspect
        What "Open this in Inspect" sets beside the scene's own ``inspect``: what follows the knobs.
    """

    parts: tuple[go.Figure | CreditStrip | pd.DataFrame | str, ...]
    inspect: Mapping[str, Any] = field(default_factory=dict)


class Waiting(Exception):
    """The engine has to work first: ``wanted`` holds (key, what starts the job) of everything that is missing."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        super().__init__("The engine has to work first.")
        self.wanted = tuple(wanted)


class Bench:
    """The engine as scenes use it: results by content, or :class:`Waiting`.

    Parameters
    ----------
    engine
        The app's one engine.
    theme
        The colours of figures.
    """

    def __init__(self, engine: Engine, theme: Theme = LIGHT) -> None:
        self.engine, self.theme = engine, theme

    def analysis(
        self,
        example: Example,
        methods: Sequence[str] | Mapping[str, Mapping[str, Any]] = ("red",),
        *,
        model: str = JUDGE,
        **partners: str,
    ) -> Analysis:
        """One response with its credits.

        Parameters
        ----------
        example
            Prompt and response.
        methods
            Names, or label -> options, as in :func:`redviz.analyze`.
        model
            The reward model.
        partners
            ``policy``, ``reference``, ``cost_model``: the names of models beside it.

        Raises
        ------
        Waiting
            Where a model has to run first.
        RedvizError
            Where a method refuses.
        """
        return self.analyses([example], methods, model=model, **partners)[0]

    def analyses(
        self,
        examples: Sequence[Example],
        methods: Sequence[str] | Mapping[str, Mapping[str, Any]] = ("red",),
        *,
        model: str = JUDGE,
        **partners: str,
    ) -> list[Analysis]:
        """Several responses, waited for together; see :meth:`analysis`."""
        spec, beside = ModelSpec(model), {role: ModelSpec(name, role=PARTNERS[role]) for role, name in partners.items()}
        ready: list[Analysis] = []
        wanted: list[Wanted] = []
        for example in examples:
            analysis, missing, refused = self.engine.cached(spec, example, recipes(methods), beside)
            if refused:
                raise RedvizError(next(iter(refused.values())))
            if analysis is None:
                wanted.append(self._observe(spec, example))
            elif missing:
                wanted += [self._credit(spec, example, label, recipe, beside) for label, recipe in missing.items()]
            else:
                ready.append(analysis)
        if wanted:
            raise Waiting(wanted)
        return ready

    def work(self, title: str, key: Hashable, work: Callable[[Any, Job], Any], *, model: str = JUDGE) -> Any:
        """The kept result of any other work on a loaded model (:meth:`redviz.app.engine.Engine.with_model`), or :class:`Waiting`."""
        spec = ModelSpec(model)
        found = self.engine.kept(spec, title, key)
        if found is None:
            start = lambda: self.engine.with_model(spec, title, work, key=key)  # noqa: E731
            raise Waiting([((title, spec, key), start)])
        return found

    def _observe(self, spec: ModelSpec, example: Example) -> Wanted:
        return ("observe", spec, repr(example)), lambda: self.engine.observe(spec, example)

    def _credit(
        self, spec: ModelSpec, example: Example, label: str, recipe: Any, beside: Mapping[str, ModelSpec]
    ) -> Wanted:
        key = ("credit", spec, repr(example), label, repr(recipe), repr(beside))
        return key, lambda: self.engine.credit(spec, example, label, recipe, beside)


@dataclass(frozen=True)
class Scene:
    """One lesson.

    Attributes
    ----------
    id
        In the link.
    title, text
        The heading, and two to four sentences of Markdown.
    formula
        LaTeX.
    paper
        Where it comes from, with its arXiv id or venue.
    question, answer
        To think about; the answer is folded.
    knobs
        One or two.
    draw
        ``(bench, values by knob name) -> Drawn``; may raise :class:`Waiting`.
    inspect
        What "Open this in Inspect" sets of the view (example, methods, rewards, gamma ...); the rest is at its defaults.
    """

    id: str
    title: str
    text: str
    formula: str
    paper: str
    question: str
    answer: str
    knobs: tuple[Knob, ...]
    draw: Callable[[Bench, Mapping[str, Any]], Drawn]
    inspect: Mapping[str, Any]

    @property
    def defaults(self) -> dict[str, Value]:
        return {knob.name: knob.default for knob in self.knobs}


def values_of(scene: Scene, query: Mapping[str, str]) -> tuple[dict[str, Value], str]:
    """The knobs as a link sets them, and one sentence where it asks for what cannot be ("" where all is well)."""
    values, bad = scene.defaults, []
    for knob in scene.knobs:
        if knob.name in query:
            try:
                values[knob.name] = knob.read(query[knob.name])
            except RedvizError as error:
                bad.append(str(error).rstrip("."))
    return values, f"Part of this link could not be followed ({'; '.join(bad)}); the rest stands." if bad else ""


def query_of(scene: Scene, values: Mapping[str, Value]) -> dict[str, str]:
    """The link to a scene with its knobs."""
    return {"scene": scene.id} | {knob.name: knob.write(values[knob.name]) for knob in scene.knobs}
