"""Serve a Streamlit script on a free port for the length of a test."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

STARTS_WITHIN = 150  # seconds
FLAGS = {
    "server.headless": "true",
    "server.address": "localhost",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
}


@contextmanager
def serving(script: Path, folder: Path, **environment: str) -> Iterator[str]:
    """The address at which the script is served from a folder."""
    port = free_port()
    server = start(script, folder, port, **environment)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(timeout=120)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port


def start(script: Path, folder: Path, port: int, **environment: str) -> subprocess.Popen:
    """The server's process, once it answers."""
    flags = [f"--{key}={value}" for key, value in FLAGS.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}", *flags]
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryFile() as printed:  # a pipe that nobody reads would fill, and stop the server
        server = subprocess.Popen(
            command,
            stdout=printed,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": root} | environment,
        )
        try:
            _wait(f"http://localhost:{port}/_stcore/health", server, printed)
        except BaseException:
            server.kill()
            raise
    return server


def _wait(url: str, server: subprocess.Popen, printed: IO[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            printed.seek(0)
            raise RuntimeError(f"the page did not start: {printed.read().decode()[-2000:]}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the page did not start within {STARTS_WITHIN} s")
