"""Hostile files through the real uploader in a real Chromium: each opens safely or gets one clear sentence, and nothing of it runs."""

import csv
import gzip
import io
import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

WAIT = 180_000  # ms
MB = 2**20
ROOT = Path(__file__).parents[2]
MOST = 50  # MB that .streamlit/config.toml takes
PAIR = {"prompt": "How was the film?", "chosen": "Superb and moving.", "rejected": "Dull and empty."}
GOOD = json.dumps(PAIR).encode()
BAD = b"\xff" * 9  # no row of it can be read, so that the refusal names the file
FORMULA = '=HYPERLINK("http://nowhere.example")'
MARKUP = "<img src=x onerror=alert(1)> $x$ **b** [l](javascript:alert(1)) :red[x].jsonl"
NAMES = {  # as given, and as shown
    "markup": (MARKUP, MARKUP),
    "address": ("www.nowhere.example a@nowhere.example.jsonl", None),
    "quotes": ("a\"b'c`d.jsonl", "a%22b'c`d.jsonl"),
    "line ends": ("a\r\nb\u2028c\x85d.jsonl", None),
}


@pytest.fixture
def screen(app):
    """The Data set screen, with RED alone as method, and what its uploader sends."""
    opened = app("/?methods=%7B%22red%22%3A%7B%7D%7D")
    opened.sent = []
    opened.on("request", lambda asked: opened.sent.append(asked) if "upload_file" in asked.url else None)
    opened.get_by_role("link", name="Data set").first.click()
    opened.get_by_text("Open a data set", exact=True).wait_for()
    opened.set_default_timeout(WAIT)
    return opened


def give(screen, content, name="own.jsonl"):
    """Through the uploader: a path, or bytes under a name that no disk would take."""
    given = content if isinstance(content, Path) else {"name": name, "mimeType": "", "buffer": content}
    screen.locator("input[type=file]").first.set_input_files(given)


def sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)
    return path


def peak(address):
    """The most memory that the server at an address has held, in MB."""
    port = address.rpartition(":")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"--server.port=" + port in (folder / "cmdline").read_bytes():
                held = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
                return int(held[1]) / 1024
        except OSError:
            continue
    raise AssertionError("no server at this port")


def safe(screen):
    """Nothing ran, nothing was fetched, and nothing of the server shows."""
    assert screen.errors == []
    assert (
        screen.locator("img[src='x'], img[src*='nowhere'], .stMain a[href*='nowhere'], a[href^='javascript']").count()
        == 0
    )
    words = screen.locator("body").inner_text()
    assert not any(
        word in words
        for word in ("Traceback", "AxiosError", str(ROOT), "/tmp/", "site-packages", "encountered an error")
    )


def refused(screen, sentence):
    """One sentence on the page says no, and there is nothing to score."""
    alert = screen.get_by_test_id("stAlert")
    expect(alert.filter(has_text=sentence)).to_be_visible(timeout=WAIT)
    expect(alert).to_have_count(1)
    said = alert.text_content()
    assert said.endswith(".") and "\n" not in said and "; " in said  # what is wrong; what to do
    expect(screen.get_by_role("button", name=re.compile("^Score"))).to_have_count(0)
    safe(screen)
    return said


def opens(screen, content=GOOD, name="good.jsonl"):
    give(screen, content, name)
    screen.get_by_text("1 pair of prompt, chosen and rejected").wait_for()
    expect(screen.get_by_role("button", name="Score 2 responses with RED")).to_be_enabled()
    safe(screen)


@pytest.mark.slow
@pytest.mark.parametrize("size", [MOST + 10, pytest.param(300, marks=pytest.mark.slow)])
def test_a_file_that_is_too_large_stays_in_the_browser(screen, tmp_path, size):
    give(screen, sparse(tmp_path / "big.jsonl", size * MB))
    screen.get_by_text(f"File must be {MOST}.0MB or smaller").wait_for(state="attached")
    remedy = screen.get_by_text(f"up to {MOST} MB. A larger file opens from a server folder")
    remedy.wait_for()
    assert screen.sent == []
    opens(screen)
    assert len(screen.sent) > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's memory from /proc")
def test_300_mb_sent_past_the_browser_s_limit_are_refused_and_never_held(screen, address):
    opens(screen)
    genuine = next(asked for asked in screen.sent if asked.method == "PUT")
    before = peak(address)
    send = """async ([url, token]) => {
        const form = new FormData()
        form.append("file", new Blob(new Array(300).fill(new Uint8Array(2 ** 20))), "big.jsonl")
        const headers = token ? {"X-Xsrftoken": token} : {}
        try { return (await fetch(url, {method: "PUT", body: form, headers, credentials: "include"})).status }
        catch { return "cut off" }
    }"""
    assert screen.evaluate(send, [genuine.url, genuine.headers.get("x-xsrftoken", "")]) in (413, 400, "cut off")
    assert peak(address) - before < 2 * MOST
    opens(screen, name="after.jsonl")


def test_a_hostile_file_is_refused_in_one_sentence(screen):
    give(screen, gzip.compress(b"\0" * (64 * MB)), "zeros.jsonl.gz")
    refused(screen, "zeros.jsonl.gz expands to more than 300 times its size")
    opens(screen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["markup", *(pytest.param(kind, marks=pytest.mark.slow) for kind in list(NAMES)[1:])])
def test_a_hostile_name_is_text(screen, kind):
    name, shown = NAMES[kind]
    give(screen, BAD, name)
    said = refused(screen, "cannot be read: line 1 is not UTF-8")
    if shown:
        assert said.startswith(f"{shown} cannot be read")
    opens(screen, name=name)


@pytest.mark.slow
def test_a_hostile_name_stays_text_and_in_its_folder_through_a_run(screen, tmp_path_factory):
    opens(screen, name="../../<img src=x onerror=alert(1)> www.nowhere.example.jsonl")
    screen.get_by_role("button", name="Score 2 responses with RED").click()
    screen.get_by_text("2 of 2 responses").wait_for()
    shown = screen.get_by_text(re.compile(r"<img src=x onerror=alert\(1\)> \u2060?www\.nowhere\.example\.jsonl"))
    shown.first.wait_for()
    safe(screen)
    screen.get_by_role("button", name="Open results").first.click()
    screen.get_by_text("2 of 2 rows").wait_for()
    safe(screen)
    kept = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file() and path.read_bytes() == GOOD]
    assert kept and all(path.name == "content.jsonl" and path.parent.parent.name == "runs" for path in kept)


@pytest.mark.slow
def test_formulas_come_back_as_text_in_what_is_downloaded(screen):
    cells = ["=1+1", "@SUM(1)", "+2", "-3", "\t=1", FORMULA]
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["id", "subset", "prompt", "chosen", "rejected"])
    rows.writerows([cell, cell, cell, f"{cell} superb {i}", f"{cell} dull {i}"] for i, cell in enumerate(cells))
    give(screen, table.getvalue().encode(), "cells.csv")
    screen.get_by_role("button", name=f"Score {2 * len(cells)} responses with RED").click()
    run = screen.get_by_test_id("stVerticalBlock").filter(has_text="cells.csv").last
    run.get_by_text("done", exact=True).wait_for()
    run.get_by_role("button", name="Open results").click()
    screen.get_by_text(f"{2 * len(cells)} of {2 * len(cells)} rows").wait_for()
    with screen.expect_download() as download:
        screen.get_by_role("button", name=re.compile("rows without texts")).click()
    header, *found = csv.reader(io.StringIO(Path(download.value.path()).read_text()))
    assert len(found) == 2 * len(cells)
    for cell in (cell for row in [header, *found] for cell in row):
        assert not re.match(r"[=@\t\r]|[+-](?!\d*\.?\d+(e-?\d+)?$)", cell), cell
    ids = [row[header.index("example_id")] for row in found]
    assert {"'=1+1", "'@SUM(1)"} <= set(ids)  # disarmed, and not lost
    screen.get_by_test_id("stDataFrame").first.hover()
    screen.get_by_role("button", name="Search").first.wait_for()  # the table's own buttons
    own = screen.locator('[aria-label="Download as CSV"]')
    assert own.count() and not any(button.is_visible() for button in own.all())  # it would write formulas as they are
    with screen.expect_download() as download:
        screen.get_by_role("button", name="Download the run (Parquet)").click()
    responses = pq.read_table(download.value.path()).column("response").to_pylist()
    assert "=1+1 superb 0" in responses  # typed cells run nowhere, and are kept as they are
    safe(screen)
