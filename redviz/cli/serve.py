"""``redviz serve``: the app in the browser, for oneself or as a demonstration for the public."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from redviz.errors import RedvizError

LEAST_UPLOAD_MB = 0


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option("--address", help="localhost, or 0.0.0.0 for every network of this machine.")
    ] = "localhost",
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="For the public: keeps nothing, takes no files, limits texts and jobs, starts again when idle.",
        ),
    ] = False,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", help="With --demo: the models it offers, separated by commas; else the embedded ones."
        ),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(
            "--idle", min=0, help="With --demo: minutes without a person until it starts again; 5, or 0 for never."
        ),
    ] = None,
    most_characters: Annotated[
        int | None,
        typer.Option("--most-characters", min=1, help="With --demo: of prompt and response together; 4,000."),
    ] = None,
) -> None:
    """Serve the app until it is interrupted."""
    from redviz.settings import project_file

    chosen = {"REDVIZ_MODELS": models, "REDVIZ_IDLE_MINUTES": idle, "REDVIZ_MOST_CHARACTERS": most_characters}
    given = {name: str(value) for name, value in chosen.items() if value is not None}
    if given and not demo:
        raise RedvizError("--models, --idle and --most-characters set up a demonstration; add --demo.")
    if models is not None:
        _check(models)
    app = str(project_file("app.py"))
    flags = ["--server.port", str(port), "--server.address", address]
    if demo:
        os.environ |= {"REDVIZ_DEMO": "1"} | given
        flags += ["--server.maxUploadSize", str(LEAST_UPLOAD_MB)]
    from streamlit.web import cli as streamlit

    streamlit.main(["run", app, *flags], standalone_mode=False)


def _check(models: str) -> None:
    """Refuse a list without a name, and embedded models that are not there."""
    from redviz.models.loading.files import embedded_models

    names = [name.strip() for name in models.split(",") if name.strip()]
    if not names:
        raise RedvizError("--models names none; give names such as embedded:sentiment, separated by commas.")
    for name in names:
        if name.startswith("embedded:") and name not in embedded_models():
            raise RedvizError(f"There is no {name}; embedded are {', '.join(embedded_models())}.")
