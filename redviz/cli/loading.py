"""The flags that name and load a model or say how a data set is read, the same for every command."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redviz.cli.terminal import shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.data.sets.dataset import Dataset
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.pair_scorer import PairScorer
    from redviz.models.kinds.reward_model import RewardModel

Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="embedded:sentiment, a folder, a Hub id such as owner/model, or a rule: such as rule:exact-answer.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[
    str, typer.Option("--dtype", help="auto, float32, bfloat16, float16; 8bit or 4bit with bitsandbytes.")
]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        help="Which label is the reward: 0, a name, or 1-0; of a process reward model: min, product, mean, last.",
    ),
]
MaxLength = Annotated[
    int | None, typer.Option("--max-length", help="Tokens to read at most; the model's context if not given.")
]
Read = Annotated[
    str, typer.Option("--read", help="Where the score is read: model (as its own forward does) or last (token).")
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint.")]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Read pickled weights, which can run code.")]

Policy = Annotated[
    str | None, typer.Option("--policy", help="A tuned causal language model, such as embedded:writer-dpo.")
]
Reference = Annotated[
    str | None, typer.Option("--reference", help="The model it was tuned from, such as embedded:writer.")
]
CostModel = Annotated[str | None, typer.Option("--cost-model", help="A second reward model whose score is a cost.")]

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


def open_model(
    name: str,
    *,
    device: str,
    dtype: str,
    revision: str | None,
    head: str | None,
    max_length: int | None,
    read: str,
    trust_remote_code: bool,
    allow_pickle: bool,
) -> RewardModel | FunctionModel:
    """Load a model, with what Transformers would say kept off the terminal."""
    if name.startswith("rule:"):
        if head is not None or max_length is not None or revision is not None:
            raise RedvizError(f"{name} is a function of text; leave --head, --max-length and --revision out.")
        from redviz.models.rules.rules import load_rule

        return load_rule(name)
    _quiet()

    from redviz.models.loading.load import load_reward_model

    return load_reward_model(
        name,
        device=device,
        dtype=dtype,
        revision=revision,
        head=head,
        max_length=max_length,
        read=read,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )


def open_pair_scorer(
    name: str, *, device: str, dtype: str, revision: str | None, max_length: int | None, given: Mapping[str, object]
) -> PairScorer:
    """Load a model that scores pairs; ``given`` says which flags were used that mean nothing to it, and they are refused."""
    if told := ", ".join(flag for flag, used in given.items() if used):
        raise RedvizError(
            f"{name} judges pairs and gives no credits to tokens; leave {told} out (--methods occlusion shows words)."
        )
    from redviz.models.loading.load_pairs import load_pair_scorer

    return load_pair_scorer(name, device=device, dtype=dtype, revision=revision, max_length=max_length)


def open_partners(
    policy: str | None,
    reference: str | None,
    cost_model: str | None,
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """The models beside the reward model that were named, as keywords of :func:`redviz.analyze`."""
    named = {"policy": policy, "reference": reference, "cost_model": cost_model}
    if not any(named.values()):
        return {}
    _quiet()
    from redviz.models.kinds.policy import load_policy
    from redviz.models.loading.load import load_reward_model

    if cost_model and cost_model.startswith("rule:"):
        raise RedvizError(
            f"{cost_model} is a function of text, which has no prefix scores; give a reward model as --cost-model."
        )
    loaders: dict[str, Callable[..., Any]] = {
        "policy": load_policy,
        "reference": load_policy,
        "cost_model": load_reward_model,
    }
    options = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    return {role: loaders[role](name, device=device, dtype=dtype, **options) for role, name in named.items() if name}


def _quiet() -> None:
    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
