"""One analysis as a file: arrays as NumPy, the rest as JSON. The opening example ships this way, so nobody waits for torch."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

FORMAT = 1


def save_analysis(analysis: Analysis, path: Path) -> None:
    """Write an analysis with its observation and attention rows to one ``.npz`` file."""
    observation = analysis.observation
    if observation is None:
        raise RedvizError("An analysis that failed has nothing to save; mend the example first.")
    encoding = observation.encoding
    plain = {
        name: getattr(encoding, name)
        for name in ("start", "stop", "read", "offsets", "pieces", "rendered", "truncated", "notices")
    }
    header = {
        "format": FORMAT,
        "example": vars(analysis.example),
        "source": vars(analysis.source),
        "encoding": plain,
        "observation": {name: getattr(observation, name) for name in ("black_box", "both_ways", "stride")},
        "unit": analysis.unit,
        "credits": {
            label: {"total": c.total, "reference": c.reference, "closing": c.closing, "meta": dict(c.meta)}
            for label, c in analysis.credits.items()
        },
    }
    arrays = {f"credit:{label}": credit.values for label, credit in analysis.credits.items()}
    for name in ("response_row", "pooling_row", "label_scores", "step_scores"):
        if (rows := getattr(observation, name)) is not None:
            arrays[name] = rows
    if encoding.types is not None:
        arrays["types"] = encoding.types
    text = np.frombuffer(json.dumps(header, ensure_ascii=False, default=dict).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, header=text, ids=encoding.ids, column_scores=observation.column_scores, **arrays
        )


def load_analysis(path: Path) -> Analysis:
    """Read what :func:`save_analysis` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays["header"].tobytes())
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise RedvizError(f"{path.name} is not a saved analysis ({error}); save it again with redviz.") from error
    if header["format"] != FORMAT:
        raise RedvizError(f"{path.name} has format {header['format']}, this redviz reads {FORMAT}; save it again.")
    plain = header["encoding"]
    prompt = header["example"]["prompt"]
    example = Example(
        prompt if isinstance(prompt, str) else tuple(prompt), header["example"]["response"], header["example"]["id"]
    )
    encoding = Encoding(
        arrays["ids"],
        plain["start"],
        plain["stop"],
        plain["read"],
        tuple((a, b) for a, b in plain["offsets"]),
        tuple(plain["pieces"]),
        plain["rendered"],
        plain["truncated"],
        tuple(plain["notices"]),
        example,
        arrays.get("types"),
        header["unit"],
    )
    rows = (arrays.get("response_row"), arrays.get("pooling_row"))
    observation = Observation(
        encoding,
        arrays["column_scores"],
        *rows,
        **header.get("observation", {}),
        label_scores=arrays.get("label_scores"),
        step_scores=arrays.get("step_scores"),
    )
    credits = {label: Credit(arrays[f"credit:{label}"], **record) for label, record in header["credits"].items()}
    source = Source(**{**header["source"], "heads": tuple(header["source"]["heads"])})
    return Analysis(example, source, observation, credits)
