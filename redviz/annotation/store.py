"""The door to the annotation store: one database, brought up to date when it is opened, read and written in transactions."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from redviz.annotation.tables import Item, Project
from redviz.errors import RedvizError
from redviz.settings import database_url

Row = TypeVar("Row", Project, Item)
MIGRATIONS = Path(__file__).parent / "migrations"
PATIENCE = 30  # seconds to wait for another process's transaction, and for a server to answer
MIGRATION_LOCK = 0x72656476697A  # "redviz": the key of PostgreSQL's advisory lock


class StoreError(RedvizError):
    """The database did not take or give something: nothing was written, and what was sent may be sent again."""


class Store:
    """A migrated database. Safe to share between threads; every process opens its own."""

    def __init__(self, engine: Engine) -> None:
        self._sqlite = engine.dialect.name == "sqlite"
        self._mine = threading.local()
        self._turn = threading.Lock()  # threads of one process queue here: SQLite's own waiting is polling, and unfair
        self._engine = engine
        self._writing = engine.execution_options(redviz_writes=True)
        self._reading = engine if self._sqlite else engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def address(self) -> str:
        """The database's URL without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database; what is changed in it is not kept."""
        with _in_sentences(), Session(self._reading) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session in one transaction: committed to disk when the block ends, undone when it raises.

        On SQLite it is the only writer from its first statement on; on PostgreSQL whoever counts takes ``locked_project`` first.
        """
        if getattr(self._mine, "writes", False):
            raise RuntimeError("writing() inside writing() would wait for itself; pass the session on")
        with ExitStack() as stack:
            self._mine.writes = True
            stack.callback(setattr, self._mine, "writes", False)
            if self._sqlite:
                stack.enter_context(self._turn)
            stack.enter_context(_in_sentences())
            session = stack.enter_context(Session(self._writing, expire_on_commit=False))
            stack.enter_context(session.begin())
            if not self._sqlite:
                session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
            yield session

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()


def locked_project(session: Session, project_id: int) -> Project:
    """A project that nobody else can count or change until this transaction ends; RedvizError where there is none."""
    found = session.scalars(select(Project).where(Project.id == project_id).with_for_update()).one_or_none()
    return _not_deleted(found, "project", project_id)


def living(session: Session, table: type[Row], row_id: int) -> Row:
    """The project or item of this id; RedvizError where there is none (any more)."""
    return _not_deleted(session.get(table, row_id), table.__name__.lower(), row_id)


def _not_deleted(found: Row | None, what: str, row_id: int) -> Row:
    if found is None or found.deleted_at is not None:
        raise RedvizError(f"There is no {what} {row_id}; it may have been deleted.")
    return found


def milliseconds() -> int:
    """Now, in milliseconds since the epoch (UTC)."""
    return time.time_ns() // 1_000_000


def open_store(url: str | None = None) -> Store:
    """Open a database for annotations, made or brought up to date where needed; processes that do so at once wait for each other.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file.db`` or ``postgresql://user:password@host/database``; None takes ``settings.database_url()``.

    Raises
    ------
    RedvizError
        For a URL that is none, a server that does not answer, a database that a newer redviz wrote, a demonstration server.

    Examples
    --------
    >>> import tempfile
    >>> store = open_store(f"sqlite:///{tempfile.mkdtemp()}/redviz.db")
    >>> with store.reading() as session:
    ...     session.scalars(select(Project)).all()
    []
    >>> store.close()
    """
    address = _checked(database_url() if url is None else url)
    if address.get_backend_name() == "sqlite":
        assert address.database is not None
        _make_folder(Path(address.database).parent)
        engine = create_engine(
            address, connect_args={"timeout": PATIENCE}, pool_size=5, max_overflow=40, pool_timeout=PATIENCE
        )
        _take_over_transactions(engine)
    else:
        engine = create_engine(
            address,
            connect_args={"connect_timeout": 10},
            pool_size=5,
            max_overflow=25,
            pool_timeout=PATIENCE,
            pool_pre_ping=True,
        )
    try:
        _migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _checked(text_of_url: str) -> URL:
    wanted = "give sqlite:///path/to/file.db or postgresql://user:password@host/database"
    try:
        url = make_url(text_of_url)
    except (ArgumentError, ValueError):
        raise RedvizError(f"The database URL cannot be read; {wanted}.") from None  # it may hold a password
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise RedvizError(f"A database of kind {url.drivername!r} is not supported; {wanted}.")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise RedvizError("Annotations need a database that stays; give sqlite:///path/to/file.db.")
    return url


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RedvizError(
            f"The folder {folder} of the database cannot be made ({error.strerror}); name another."
        ) from None


def _take_over_transactions(engine: Engine) -> None:
    """SQLite begins when SQLAlchemy says so, and a writer begins as one: a reader cannot become one once another has written."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # pysqlite would begin late, and commit by itself before some statements
        for pragma in (f"busy_timeout={PATIENCE * 1000}", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("redviz_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# ---------------------------------------------------------------- migrations


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {step.revision for step in script.walk_revisions()}
    with _in_sentences(engine):
        if engine.dialect.name == "sqlite":
            _write_ahead(engine)
        with engine.connect() as connection:  # most starts end here, without a lock
            if _revision(connection, known) == script.get_current_head():
                return
        with engine.execution_options(redviz_writes=True).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if _revision(connection, known) != script.get_current_head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")


def _revision(connection: Connection, known: set[str]) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in known:
        raise RedvizError(f"The database is of a newer redviz (its tables are at step {found}); upgrade redviz.")
    return found


def _write_ahead(engine: Engine) -> None:
    """Turn on the write-ahead log, which stays on in the file; SQLite does not wait for a lock on this statement."""
    waited_until = time.monotonic() + PATIENCE
    connection = engine.raw_connection()
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL").fetchone()
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > waited_until:
                    raise
                time.sleep(0.05)
    finally:
        connection.close()


@contextmanager
def _in_sentences(engine: Engine | None = None) -> Iterator[None]:
    """What the database refuses, as one sentence for a person; the statement and its texts stay out of it."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        reason = lines[0].rstrip(".")
        if engine is not None:
            where = engine.url.render_as_string(hide_password=True)
            raise StoreError(f"The database {where} cannot be opened ({reason}); check REDVIZ_DATABASE_URL.") from error
        raise StoreError(
            f"The annotation store did not take this ({reason}); nothing was written, try again."
        ) from error
