"""The command line. One file per command; nothing here imports torch until a command runs."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from redviz import __version__
from redviz.cli.agree import agree
from redviz.cli.analyze import analyze
from redviz.cli.causal import causal
from redviz.cli.compare import compare
from redviz.cli.doctor import doctor
from redviz.cli.export import export
from redviz.cli.extras import remedy
from redviz.cli.lab import lab
from redviz.cli.methods import methods
from redviz.cli.score import score
from redviz.cli.serve import serve
from redviz.cli.what_if import what_if
from redviz.errors import RedvizError

app = typer.Typer(
    name="redviz",
    help="Which tokens of a response earn its reward.",
    rich_markup_mode=None,  # plain help: fast, and fit for a pipe
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (agree, analyze, causal, compare, doctor, export, lab, methods, score, serve):
    app.command()(command)
app.command("what-if")(what_if)


@app.callback(invoke_without_command=True)
def start(context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Which tokens of a response earn its reward."""
    if version:
        typer.echo(f"redviz {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 failed while running, 2 bad usage or bad input.

    An error is one sentence on stderr, never a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 still shows the numbers
    try:
        code = app(args=None if argv is None else list(argv), prog_name="redviz", standalone_mode=False)
    except RedvizError as error:
        return _complain(str(error), 2)
    except TyperException as error:
        return _complain(_usage(error), error.exit_code)
    except BrokenPipeError:  # the reader (head, less) has had enough; Python would complain once more on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (sentence := remedy(error)):
            return _complain(sentence, 2)
        return _complain(f"It failed while running ({type(error).__name__}: {error}).", 1)
    return code if isinstance(code, int) else 0


def _usage(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "redviz"
    message = error.format_message().rstrip(".")
    return f"{message}{'' if message.endswith('?') else ';'} see {path} --help."


def _complain(message: str, code: int) -> int:
    typer.echo(f"redviz: {' '.join(message.split())}", err=True)
    return code
