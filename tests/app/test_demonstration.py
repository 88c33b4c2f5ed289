"""What a demonstration refuses: long texts, files, a second job; outside of one nothing of this applies."""

import re
from pathlib import Path

import pytest

from redviz import settings
from redviz.app import demonstration, session
from redviz.app.worker import LONG, Job
from redviz.errors import RedvizError
from redviz.models.loading.files import embedded_reward_models

PACKAGE = Path(demonstration.__file__).parents[1]
TURNS = [{"role": "user", "content": "x" * 60}]


@pytest.fixture
def demo(monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    monkeypatch.setattr(session.st, "session_state", {})


def job(title):
    return Job(1, title, LONG, lambda job: None)


def test_prompt_and_response_together_may_be_so_long_and_no_longer(demo, monkeypatch):
    demonstration.check_length("x" * 1000, "y" * 3000)
    with pytest.raises(RedvizError, match="4,001 characters long, its prompt included; this demonstration takes 4,000"):
        demonstration.check_length("x" * 1000, "y" * 3001)
    monkeypatch.setenv("REDVIZ_MOST_CHARACTERS", "100")
    demonstration.check_length(TURNS, "y" * 40)
    with pytest.raises(RedvizError, match="101 characters"):
        demonstration.check_length(TURNS, "y" * 41)
    monkeypatch.setenv("REDVIZ_DEMO", "0")
    demonstration.check_length("x" * 10_000)


def test_the_view_starts_again_after_five_minutes_or_what_is_set_or_never(demo, monkeypatch):
    assert settings.idle_minutes() == 5 and "After 5 minutes" in demonstration.about()
    monkeypatch.setenv("REDVIZ_IDLE_MINUTES", "0.25")
    assert settings.idle_minutes() == 0.25 and "After 15 seconds" in demonstration.about()
    monkeypatch.setenv("REDVIZ_IDLE_MINUTES", "0")
    assert settings.idle_minutes() is None and "starts again" not in demonstration.about()
    for bad in ("soon", "-1", "inf"):
        monkeypatch.setenv("REDVIZ_IDLE_MINUTES", bad)
        with pytest.raises(RedvizError, match="REDVIZ_IDLE_MINUTES is .*; give a number such as 5"):
            settings.idle_minutes()
    monkeypatch.setenv("REDVIZ_DEMO", "")
    assert settings.idle_minutes() is None and demonstration.about() == ""


def test_a_session_works_on_one_subject_at_a_time(demo, monkeypatch):
    first, second, third = job("IG"), job("Shapley"), job("LIME")
    assert session.asked("a1", lambda: first, subject="a") is first
    assert session.asked("a2", lambda: second, subject="a") is second  # another method of the same thing
    refused = session.asked("b", lambda: third, subject="b")
    assert refused is not third and refused.finished.is_set() and refused.state == "failed"
    assert "one job at a time" in refused.error and "IG is under way" in refused.error
    assert session.asked("b", lambda: third, subject="b").id == refused.id < 0 and third not in session.own_jobs()
    assert session.asked("short", lambda: third) is third  # what is about nothing is a short one
    first.cancel()
    assert "Shapley is under way" in session.asked("b", lambda: third, subject="b").error
    second.cancel()
    assert session.asked("b", lambda: third, subject="b") is third
    assert session.asked("a1", lambda: first, subject="a") is first  # known already: its error is shown, nothing begins
    monkeypatch.setattr(session.st, "session_state", {})
    other = job("IG")
    assert session.asked("a", lambda: other, subject="a") is other  # another session


def test_elsewhere_a_session_has_as_many_jobs_as_it_likes(monkeypatch):
    monkeypatch.setattr(session.st, "session_state", {})
    jobs = [job("IG"), job("IG")]
    assert [session.asked(n, lambda n=n: jobs[n], subject=n) for n in (0, 1)] == jobs


def test_a_demonstration_offers_the_embedded_models_or_those_on_its_list(demo, monkeypatch):
    assert session.offered() == embedded_reward_models()
    assert not session.allowed("someone/their-model") and session.allowed("embedded:sentiment")
    monkeypatch.setenv("REDVIZ_MODELS", "/srv/judge")
    assert session.offered() == ("/srv/judge",) and not session.allowed("embedded:sentiment")


def test_files_are_asked_for_in_the_two_places_that_know_of_demonstrations():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bst\.(file_uploader|camera_input|audio_input|chat_input)\(", path.read_text())
    }
    assert found == {"app/demonstration.py", "app/dataset/sources.py"}
