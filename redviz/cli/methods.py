"""``redviz methods``: what each credit method is, costs and promises."""

from __future__ import annotations

import typer

from redviz.cli.terminal import column, table
from redviz.credit.recipes import SEGMENTS, Option
from redviz.credit.recipes import methods as known


def _meaning(option: Option) -> str:
    return option.help + (f" One of {', '.join(map(str, option.choices))}." if option.choices else "")


def methods() -> None:
    """List the credit methods, with their options."""
    infos = known()
    typer.echo(
        table(
            [
                column("method", list(infos)),
                column("passes", [info.cost for info in infos.values()]),
                column("sums to", [info.sums_to for info in infos.values()]),
                column("looks ahead", ["no" if info.causal else "yes" for info in infos.values()]),
                column("source", [info.paper for info in infos.values()], widest=120),
            ]
        )
    )
    typer.echo("\nF is a forward pass, B a backward pass. Options, given as --option METHOD.NAME=VALUE:")
    options = [(f"{name}.{key}", option) for name, info in infos.items() for key, option in info.options.items()]
    options += [(f"METHOD.{key}", option) for key, option in SEGMENTS.items()]
    defaults = ["none" if o.default is None else str(o.default).lower() for _, o in options]
    helps = column("meaning", [_meaning(option) for _, option in options], widest=120)
    typer.echo(table([column("option", [name for name, _ in options]), column("default", defaults), helps]))
