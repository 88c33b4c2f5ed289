"""Analyses made by hand: the worked numbers of METHODS.md, hostile text, and long ones from a seed."""

from __future__ import annotations

import numpy as np

from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

SOURCE = Source(
    model="embedded:sentiment",
    revision="1",
    fingerprint="0123abcd",
    dtype="float32",
    device="cpu",
    template_hash="beef",
    versions={"redviz": "0.1.0"},
)
HOSTILE = (
    "<script>alert(1)</script>",
    "\n",
    "\t",
    "  ",
    "\u200b",
    " so\nit",
    "&amp;",
    '"><img src=x onerror=alert(2)>',
    "\u202e",
    "e",
    "\u0301",
    "\x07",
    " done",
)


def analysis_of(pieces, prefix, credits, closing=0.0, offsets=None, response=None, **observed):
    """An analysis of a response made of these pieces, after a prompt of two tokens and before one closing token."""
    count = len(pieces)
    if offsets is None:
        ends = np.cumsum([len(p) for p in pieces])
        offsets = tuple((int(e) - len(p), int(e)) for e, p in zip(ends, pieces, strict=True))
    response = "".join(pieces) if response is None else response
    scores = np.concatenate([[0.0], prefix, [prefix[-1] + closing]]).astype(np.float32)
    encoding = Encoding(
        ids=np.arange(100, 100 + count + 3),
        start=2,
        stop=2 + count,
        read=2 + count if closing else 1 + count,
        offsets=offsets,
        pieces=("<user>", " How was it?", *pieces, "<end>"),
        rendered=f"<user> How was it?{response}<end>",
        truncated=observed.get("truncated", 0),
        notices=observed.get("notices", ()),
    )
    example = Example(prompt="How was it?", response=response, id="worked")
    return Analysis(example=example, source=SOURCE, observation=Observation(encoding, scores), credits=credits)


def worked(closing=0.0):
    """Section 10 of METHODS.md: P = 0.2, 0.5, -0.1, 0.9, 1.4."""
    red = np.array([0.3, -0.6, 1.0, 0.5 + closing], np.float32)
    abc = np.array([1 / 6, 1 / 2, 1 / 12, 1 / 4]) * (1.4 + closing)
    credits = {
        "red": Credit(red, total=1.4 + closing, reference=0.2, closing=closing),
        "abc": Credit(abc.astype(np.float32), total=1.4 + closing, reference=0.0),
        "treg": Credit(np.array([0.1224593, 0, -0.2310586, 0.01], np.float32), total=None, reference=None),
    }
    return analysis_of(("The", " film", " is", " superb"), [0.2, 0.5, -0.1, 0.9, 1.4], credits, closing)


def drawn(pieces, seed=0, closing=0.0, labels=("red", "abc", "ig"), **more):
    """Random credits on given pieces: "red" telescopes, the others are noise on smaller scales."""
    rng = np.random.default_rng(seed)
    count = len(pieces)
    steps = rng.standard_t(3, count) * 0.2
    prefix = np.concatenate([[0.2], 0.2 + np.cumsum(steps)])
    credits = {}
    for k, label in enumerate(labels):
        values = (
            steps
            if k == 0
            else (np.abs(rng.normal(0, 0.02, count)) if label == "abc" else steps * 0.6 + rng.normal(0, 0.1, count))
        )
        values = values.astype(np.float32)
        if k == 0 and closing:
            values[-1] += closing
        total = float(prefix[-1] + closing)
        credits[label] = Credit(values, total, 0.2 if k == 0 else 0.0, closing if k == 0 else 0.0, {"method": label})
    return analysis_of(pieces, prefix, credits, closing, **more)


def hostile():
    """Markup, breaks, blanks, zero-width and bidi controls, an emoji of four tokens, Arabic."""
    pieces = (*HOSTILE, *("\ufffd",) * 4, "مرحبا", " بك", " جدا", "\n", "नम", "स्", "ते")
    offsets, at, response = [], 0, ""
    for piece in HOSTILE:
        offsets.append((at, at + len(piece)))
        at += len(piece)
    response = "".join(HOSTILE) + "🤩"
    offsets += [(at, at + 1)] * 4
    at += 1
    for piece in pieces[len(HOSTILE) + 4 :]:
        offsets.append((at, at + len(piece)))
        at += len(piece)
        response += piece
    return drawn(pieces, seed=3, closing=0.3, offsets=tuple(offsets), response=response)


def arabic():
    """One line of a script that runs from right to left."""
    return drawn(("مرحبا", " بك", " جدا", " في", " المدينة", "."), seed=5)


TEXT = """The film opens on a quiet street , and for twenty minutes nothing happens . I loved it . The lead is superb ;
the script , sadly , is un even and the last act drags , but the photography is glorious ."""
WORDS = [*TEXT.split(), "\n"]


def long(count=4000, seed=0, closing=0.2, **more):
    """A review that repeats itself, of any length."""
    pieces = tuple(
        (" " if i and WORDS[i % len(WORDS)] not in ",;.\n" else "") + WORDS[i % len(WORDS)] for i in range(count)
    )
    return drawn(pieces, seed=seed, closing=closing, **more)
