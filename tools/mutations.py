"""Do the tests notice? Forty small faults, put into the core one at a time; each must make some test of its own room fail.

    python tools/mutations.py            # all of them, about ten minutes on one core
    python tools/mutations.py returns    # those of files with this in their name

The faults stand in the list below: a file, what stands there (exactly once), what is written instead, and the tests that must see it. They
are put into a copy of the checkout, never into the checkout itself. Exit code 1 where one survives.
"""

# ruff: noqa: E501  (a fault stands on one line, however long)

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Fault(NamedTuple):
    file: str
    there: str
    instead: str
    tests: str  # paths, and options of pytest such as -k


RETURNS = "tests/test_returns.py"
ENCODE = "tests/models/test_encode.py"
PREFIX = "tests/credit/from_records/test_prefix.py"
ATTENTION = "tests/credit/from_records/test_attention.py"
ONE_PASS = "tests/models/test_one_pass.py"
TEXT = "tests/test_text.py"
COMMITS = "tests/annotation/test_annotation_store.py tests/annotation/test_commits.py"
INBOX = "tests/annotation/test_inbox.py"

FAULTS = [
    # returns and advantages
    Fault("redviz/returns.py", "y[..., :-step] += decay**step * y", "y[..., :-step] += decay * y", RETURNS),
    Fault("redviz/returns.py", "* _successor_values(v, m, last_value) - v, 0.0)", "* v - v, 0.0)", RETURNS),
    Fault("redviz/returns.py", "gamma * _unit(\"lam\", lam), _mask", "_unit(\"lam\", lam), _mask", RETURNS),
    Fault("redviz/returns.py", "* (k / (k - 1))", "* ((k - 1) / k)", RETURNS),
    Fault("redviz/returns.py", "ddof=1 if std == \"sample\" else 0", "ddof=0", RETURNS),
    Fault("redviz/returns.py", "np.expm1(-lr) + lr", "np.expm1(lr) - lr", RETURNS),
    Fault("redviz/returns.py", "np.where(std > rounding, centred, 0.0)", "centred", RETURNS),
    Fault("redviz/returns.py", "out = np.where(mask, x, 0.0)", "out = x * mask", RETURNS),
    # credits from records
    Fault("redviz/credit/from_records/prefix.py", "steps[0] = prefix[1] - reference", "steps[0] = prefix[1]", PREFIX),
    Fault("redviz/credit/from_records/prefix.py", "beta_c * closing + (1.0 - beta_c) * total", "beta_c * closing", PREFIX),
    Fault("redviz/credit/from_records/prefix.py", "closing *= beta_c", "closing *= 1.0", PREFIX),
    Fault(
        "redviz/credit/from_records/prefix.py",
        "values -= penalty[: len(values)]",
        "values += penalty[: len(values)]",
        "tests/credit/from_records/test_log_ratio.py " + PREFIX,
    ),
    Fault("redviz/credit/from_records/abc.py", "values[-1] += (1.0 - b) * observation.score", "pass", ATTENTION),
    Fault("redviz/credit/from_records/abc.py", "mass = own.sum()", "mass = weights.sum()", ATTENTION),
    Fault("redviz/credit/from_records/abc.py", "rows[layer, picked]", "rows[0, picked]", ATTENTION),
    Fault(
        "redviz/credit/from_records/segments.py",
        "left -= float(values[last - 1])",
        "left = 0.0",
        "tests/credit/from_records/test_segments.py",
    ),
    Fault(
        "redviz/credit/from_records/baselines.py",
        "values[-1] = observation.score",
        "values[0] = observation.score",
        "tests/credit tests/test_analysis.py",
    ),
    # encode: the response's span, the reading column, offsets
    Fault("redviz/models/reading/encode.py", "if a < end and b > begin]", "if a >= begin and b <= end]", ENCODE),
    Fault("redviz/models/reading/encode.py", "keep = min(stop, max_length - (len(ids) - stop))", "keep = min(stop, max_length)", ENCODE),
    Fault("redviz/models/reading/encode.py", "return int(kept[-1])", "return int(kept[0])", ENCODE),
    Fault("redviz/models/reading/encode.py", "while sentinel in text:", "while False:", ENCODE),
    Fault("redviz/models/reading/encode.py", "add_special_tokens=not tokenizer.chat_template", "add_special_tokens=True", ENCODE),
    Fault("redviz/models/reading/encode.py", "tuple((a + shift, b + shift) for a, b in clipped)", "tuple(clipped)", ENCODE),
    Fault("redviz/models/reading/encode.py", "spans.append((min(a, reached), b))", "spans.append((a, b))", ENCODE),
    Fault("redviz/models/reading/encode.py", "if start <= int(first):", "if start < 0:", ENCODE + " tests/models/test_both_ways.py"),
    Fault("redviz/text.py", "(start < groups[-1][1] or groups[-1][1] not in whole)", "start < groups[-1][1]", TEXT),
    Fault("redviz/text.py", "left.isalnum() != right.isalnum()", "False", TEXT),
    Fault("redviz/text.py", "boundary[i] = min(j1 + (i - i1), j2) if i < i2 else j2", "boundary[i] = j1", TEXT),
    # one forward pass: scores and attention rows
    Fault("redviz/observation.py", "self.encoding.start - 1 : self.encoding.stop]", "self.encoding.start : self.encoding.stop + 1]", ONE_PASS),
    Fault("redviz/models/running/attention.py", "> columns[..., None]", ">= columns[..., None]", ONE_PASS),
    Fault("redviz/models/running/attention.py", "picked.float() @ key.float().transpose(-1, -2)) * scaling", "picked.float() @ key.float().transpose(-1, -2))", ONE_PASS),
    Fault("redviz/models/running/attention.py", "softcap * torch.tanh(logits / softcap)\n    logits = logits.reshape", "logits\n    logits = logits.reshape", "tests/models/test_one_pass.py tests/models/test_guards.py"),
    Fault("redviz/models/running/attention.py", "ALL_MASK_ATTENTION_FUNCTIONS.register(FAST, ALL_MASK_ATTENTION_FUNCTIONS[\"sdpa\"])", "pass", "tests/models/test_guards.py " + ONE_PASS),
    Fault("redviz/models/running/attention.py", "        _open.reset(token)", "        pass", "tests/models/test_guards.py " + ONE_PASS),
    # tokens of two models matched
    Fault("redviz/models/kinds/reward_model.py", "- 1).clamp(", "- 0).clamp(", ONE_PASS),
    # what people marked: acknowledged means on disk, in order, once
    Fault("redviz/annotation/judgements.py", "if _number(entry) == reached + 1:", "if _number(entry) > reached:", COMMITS),
    Fault("redviz/annotation/judgements.py", "        return reached\n", "        return max([reached, *map(_number, entries)])\n", COMMITS),
    Fault("redviz/annotation/inbox.py", "if end is None or end[\"seq\"] != last + 1:", "if end is None:", INBOX),
    Fault("redviz/annotation/inbox.py", "if whose != annotator_id:", "if whose is None:", INBOX),
    Fault("redviz/annotation/fold.py", "        elif standing:\n            standing.pop()", "        elif standing:\n            standing.pop(0)", "tests/annotation/test_fold.py"),
]  # fmt: skip


def main(only: str = "") -> int:
    chosen = [fault for fault in FAULTS if only in fault.file]
    with tempfile.TemporaryDirectory(prefix="redviz-mutations-") as folder:
        copy = Path(folder) / "redviz"
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        survived = [fault for fault in chosen if not killed(fault, copy)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed")
    return 1 if survived else 0


def killed(fault: Fault, copy: Path) -> bool:
    """Whether a test fails once the fault is in the copy; it is taken out again."""
    path = copy / fault.file
    right = path.read_text(encoding="utf-8")
    if right.count(fault.there) != 1:
        raise SystemExit(f"{fault.file} holds {fault.there!r} {right.count(fault.there)} times; mend the list.")
    path.write_text(right.replace(fault.there, fault.instead), encoding="utf-8")
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *fault.tests.split()]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    path.write_text(right, encoding="utf-8")
    if run.returncode not in (0, 1):  # 1: tests failed
        raise SystemExit(
            f"pytest ended with {run.returncode} on {fault.tests}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        )
    word = "killed  " if run.returncode else "SURVIVED"
    print(f"{word} {time.perf_counter() - began:5.1f} s  {fault.file}: {fault.there} -> {fault.instead}", flush=True)
    return run.returncode == 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
