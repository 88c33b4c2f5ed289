"""The store: how it is opened, brought up to date, and what it keeps exactly."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, select, text

from redviz.annotation.store import open_store
from redviz.annotation.tables import Guidelines, Project, Table
from redviz.errors import RedvizError
from redviz.settings import database_url

ROOT = Path(__file__).parents[2]


def test_the_migrations_make_the_tables(store, url):
    with create_engine(store.address.replace("***", "")).connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": Table.metadata})
        assert compare_metadata(context, Table.metadata) == []
        wanted = {check.name for table in Table.metadata.tables.values() for check in table.constraints if check.name}
        if connection.dialect.name == "postgresql":  # Alembic compares no CHECK constraints
            found = set(connection.scalars(text("SELECT conname FROM pg_constraint")))
        else:
            written = " ".join(connection.scalars(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")))
            found = {name for name in wanted if f"CONSTRAINT {name} " in written}
        assert wanted - found == set()


FOUR_AT_ONCE = """
import os, sys
from redviz.annotation.store import open_store

for _ in range(4):
    if os.fork() == 0:
        open_store(sys.argv[1])
        sys.exit()
print([os.wait()[1] for _ in range(4)])
"""


def test_processes_that_open_a_new_database_at_once_wait_for_each_other(url):
    opened = subprocess.run([sys.executable, "-c", FOUR_AT_ONCE, url], cwd=ROOT, capture_output=True, text=True)
    assert (opened.stdout, opened.stderr) == ("[0, 0, 0, 0]\n", "")


def test_a_database_of_a_newer_redviz_is_left_alone(store, url):
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RedvizError, match=r"newer redviz .*step 9999.*; upgrade redviz\.$"):
        open_store(url)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("nonsense", "cannot be read; give sqlite:///"),
        ("postgresql://ada:geheim@host:port/db", "cannot be read; give sqlite:///"),
        ("mysql://host/db", "kind 'mysql' is not supported; give sqlite:///"),
        ("sqlite://", "a database that stays; give sqlite:///"),
        ("postgresql://ada:geheim@127.0.0.1:1/db", "cannot be opened .*; check REDVIZ_DATABASE_URL"),
    ],
)
def test_a_wrong_url_is_refused_in_one_sentence_that_keeps_the_password(wrong, sentence):
    with pytest.raises(RedvizError, match=sentence) as refused:
        open_store(wrong)
    assert "\n" not in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes. " * 100)
    with pytest.raises(RedvizError, match="file is not a database"):
        open_store(f"sqlite:///{file}")
    assert file.read_text() == "These are my notes. " * 100


def test_a_demonstration_keeps_nothing_unless_a_database_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    monkeypatch.delenv("REDVIZ_DATABASE_URL", raising=False)
    with pytest.raises(RedvizError, match="demonstration"):
        open_store()
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("REDVIZ_DATABASE_URL", f"sqlite:///{tmp_path / 'kept.db'}")
    open_store().close()
    assert (tmp_path / "kept.db").exists()


def test_without_a_url_the_database_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REDVIZ_DATABASE_URL", raising=False)
    assert database_url() == f"sqlite:///{tmp_path / 'home' / 'redviz.db'}"
    open_store().close()
    assert (tmp_path / "home" / "redviz.db").exists()


def test_sqlite_is_set_to_keep_what_it_acknowledged(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'redviz.db'}")
    with store.writing() as session:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [session.scalar(text(f"PRAGMA {name}")) for name in names] == ["wal", 2, 1, 30_000]
    store.close()


def test_a_writer_is_the_only_one_from_its_first_statement_on(tmp_path):
    url = f"sqlite:///{tmp_path / 'redviz.db'}"
    store = open_store(url)
    other = create_engine(url, connect_args={"timeout": 0})
    with store.writing() as session, other.connect() as connection:
        session.scalars(select(Project)).all()  # it only reads so far
        with pytest.raises(Exception, match="locked"):
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('x')")
        connection.rollback()
    store.close()


def test_what_raises_is_not_written(store, project):
    with pytest.raises(ZeroDivisionError), store.writing() as session:
        session.add(Guidelines(project_id=project.id, version=1, text="", created_at=0))
        session.flush()
        raise ZeroDivisionError
    with pytest.raises(RedvizError, match="nothing was written"), store.writing() as session:
        session.add(Guidelines(project_id=-5, version=1, text="", created_at=0))  # a project that is not there
    with store.reading() as session:
        assert session.scalar(select(func.count()).select_from(Guidelines)) == 0


def test_a_thread_that_would_wait_for_itself_is_told(store):
    with store.writing(), pytest.raises(RuntimeError, match="pass the session on"), store.writing():
        pass
    with store.writing() as session:  # and may write again
        session.scalars(select(Project)).all()


HOSTILE = [
    "",
    "\x00",
    "a\x00b",
    "\ud83d",
    "😀👨‍👩‍👧‍👦",
    "مرحبا\u202e",
    "\x01json:",
    '\x01json:"x"',
    "\\u0000",
    "'; DROP TABLE items; --",
]


def test_texts_come_back_exactly(store, project):
    with store.writing() as session:
        for version, given in enumerate(HOSTILE):
            session.add(Guidelines(project_id=project.id, version=version, text=given, created_at=0))
    with store.reading() as session:
        assert session.scalars(select(Guidelines.text).order_by(Guidelines.version)).all() == HOSTILE
        assert session.scalars(select(Guidelines.version).where(Guidelines.text == "a\x00b")).all() == [2]
        assert session.scalar(select(func.count()).select_from(Project)) == 1


def test_importing_redviz_imports_no_database():
    code = "import sys, redviz; print(*{'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
