"""The flags that name and load a model or say how a data set is read, the same for every command."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from redviz.cli.terminal import shown
from redviz.errors import RedvizError
from redviz.models.spec import PARTNERS, ModelSpec, PartnerSpecs, is_rule, load

if TYPE_CHECKING:
    from redviz.data.sets.dataset import Dataset
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.pair_scorer import PairScorer
    from redviz.models.kinds.reward_model import RewardModel

Model = Annotated[  # given as a string: see with_model
    ModelSpec,
    typer.Option(
        "--model",
        help="embedded:sentiment, a folder, a Hub id such as owner/model, or a rule: such as rule:exact-answer.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
LOADING: dict[str, Any] = {  # field of a spec: the flag that sets it
    "device": Device,
    "dtype": Annotated[
        str, typer.Option("--dtype", help="auto, float32, bfloat16, float16; 8bit or 4bit with bitsandbytes.")
    ],
    "revision": Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")],
    "head": Annotated[
        str | None,
        typer.Option(
            "--head",
            help="Which label is the reward: 0, a name, or 1-0; of a process reward model: min, product, mean, last.",
        ),
    ],
    "max_length": Annotated[
        int | None, typer.Option("--max-length", help="Tokens to read at most; the model's context if not given.")
    ],
    "read": Annotated[
        str, typer.Option("--read", help="Where the score is read: model (as its own forward does) or last (token).")
    ],
    "template": Annotated[
        str | None,
        typer.Option(
            "--template",
            help="The text it was trained on: own (its tokenizer's), plain, chatml, alpaca, vicuna, hh, qa, a Jinja file, "
            "or a line such as 'Q: {prompt} A: {response}'; +eos at its end writes an EOS behind the response.",
        ),
    ],
    "trust_remote_code": Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint.")
    ],
    "allow_pickle": Annotated[bool, typer.Option("--allow-pickle", help="Read pickled weights, which can run code.")],
}
BESIDE: dict[str, Any] = {  # partner: the flag that names it
    "policy": Annotated[
        str | None, typer.Option("--policy", help="A tuned causal language model, such as embedded:writer-dpo.")
    ],
    "reference": Annotated[
        str | None, typer.Option("--reference", help="The model it was tuned from, such as embedded:writer.")
    ],
    "cost_model": Annotated[
        str | None, typer.Option("--cost-model", help="A second reward model whose score is a cost.")
    ],
}

Columns = Annotated[
    list[str] | None, typer.Option("--column", help="PART=COLUMN, such as prompt=question, as often as needed.")
]
LISTED = 10  # malformed rows to tell one by one


def tell_problems(opened: Dataset, more: str = "") -> None:
    """Say on stderr which rows the latest reading left out; ``more`` tells where the others are listed."""
    for problem in opened.problems[:LISTED]:
        typer.echo(f"{shown(opened.name)}, line {problem.line}: left out ({shown(problem.reason)})", err=True)
    if opened.skipped > LISTED:
        typer.echo(f"{opened.skipped:,} rows are left out in all{more}.", err=True)


def with_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags that load a model, after its own.

    Its parameter ``model`` gets a spec, and its parameter ``partners``, where it has one, the specs of those that were named.
    """
    signature = inspect.signature(command, eval_str=True)
    flags = {name: parameter.replace(kind=parameter.KEYWORD_ONLY) for name, parameter in signature.parameters.items()}
    beside = BESIDE if flags.pop("partners", None) else {}
    kind, option = get_args(flags["model"].annotation)
    flags["model"] = flags["model"].replace(annotation=Annotated[str if kind is ModelSpec else str | None, option])
    for name, annotation in (LOADING | beside).items():
        default = getattr(ModelSpec, name, None)
        flags[name] = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    @wraps(command)
    def with_specs(model: str | None, **given: Any) -> Any:
        spec = ModelSpec(model or "", **{name: given.pop(name) for name in LOADING})
        if beside:  # loaded as the model is, but for what is said of the model alone
            partner = replace(spec, revision=None, head=None, max_length=None, read="model", template=None)
            named = {part: given.pop(part) for part in beside}
            given["partners"] = {p: replace(partner, name=n, role=PARTNERS[p]) for p, n in named.items() if n}
        return command(model=None if model is None else spec, **given)

    with_specs.__signature__ = signature.replace(parameters=list(flags.values()))  # type: ignore[attr-defined]
    with_specs.__annotations__ = {name: flag.annotation for name, flag in flags.items()}
    return with_specs


def open_model(spec: ModelSpec) -> RewardModel | FunctionModel:
    """Load a model, with what Transformers would say kept off the terminal."""
    if not is_rule(spec.name):
        _quiet()
    elif any(given is not None for given in (spec.head, spec.max_length, spec.revision, spec.template)):
        raise RedvizError(
            f"{spec.name} is a function of text; leave --head, --max-length, --revision and --template out."
        )
    model: RewardModel | FunctionModel = load(spec)
    return model


def open_pair_scorer(spec: ModelSpec, given: Mapping[str, object]) -> PairScorer:
    """Load a model that scores pairs; ``given`` says which flags were used that mean nothing to it, and they are refused."""
    if told := ", ".join(flag for flag, used in given.items() if used):
        raise RedvizError(
            f"{spec.name} judges pairs and gives no credits to tokens; leave {told} out (--methods occlusion shows words)."
        )
    scorer: PairScorer = load(replace(spec, role="pair"))
    return scorer


def open_partners(partners: PartnerSpecs) -> dict[str, Any]:
    """The models beside the reward model, as keywords of :func:`redviz.analyze`."""
    if partners:
        _quiet()
    if (cost := partners.get("cost_model")) and is_rule(cost.name):
        raise RedvizError(
            f"{cost.name} is a function of text, which has no prefix scores; give a reward model as --cost-model."
        )
    return {partner: load(spec) for partner, spec in partners.items()}


def _quiet() -> None:
    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
