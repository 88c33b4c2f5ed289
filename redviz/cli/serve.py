"""``redviz serve``: the app in the browser."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option("--address", help="localhost, or 0.0.0.0 for every network of this machine.")
    ] = "localhost",
) -> None:
    """Serve the app until it is interrupted."""
    from streamlit.web import cli as streamlit

    from redviz.settings import project_file

    app = str(project_file("app.py"))
    streamlit.main(["run", app, "--server.port", str(port), "--server.address", address], standalone_mode=False)
