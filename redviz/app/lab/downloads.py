"""What can be taken away from an experiment: its curves, its texts, all of it, the tuned weights, and the same for a terminal."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import streamlit as st

from redviz import settings
from redviz.app.lab.state import Experiment, line_name, opened
from redviz.app.parts.kept import kept_choice
from redviz.lab.config import LabConfig
from redviz.lab.experiments import command, samples_jsonl, steps_jsonl
from redviz.lab.runs import export_csv, export_json, open_lab_run


@st.fragment
def downloads(experiment: Experiment) -> None:
    """Draw the buttons; the files are made when one is pressed, of what is there then."""
    st.subheader("Downloads")
    name = f"lab-{experiment.id}"
    with st.container(horizontal=True):
        _button("Curves (CSV)", lambda: curves_csv(now(experiment)), f"{name}.csv", "text/csv")
        _button("Curves (JSONL)", lambda: curves_jsonl(now(experiment)), f"{name}.jsonl", "application/jsonl")
        _button("Texts (JSONL)", lambda: texts_jsonl(now(experiment)), f"{name}-texts.jsonl", "application/jsonl")
        _button("Everything (JSON)", lambda: everything(now(experiment)), f"{name}.json", "application/json")
    tuned = [] if settings.demo_mode() else [run.config for run in experiment.runs if run.state == "done"]
    if tuned:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            names = {f"{line_name(config.label)}, seed {config.seed}": config for config in tuned}
            config = names[kept_choice("Tuned policy", "lab.tuned", list(names), width=320)]
            _button("Weights (ZIP)", lambda: tuned_policy(config), f"lab-{config.id}.zip", "application/zip")
            st.caption(
                "A folder of a policy: unpack it and name it under Other models, or as --policy.", width="stretch"
            )
    with st.expander("The same from a terminal"):
        st.code("\n".join(command(config) for config in experiment.configs), language="bash", wrap_lines=True)
        st.caption(
            "Where REDVIZ_HOME is the same, these go on with the runs of this screen, and this screen shows theirs."
        )


def _button(label: str, make: object, name: str, kind: str) -> None:
    st.download_button(label, make, name, kind, on_click="ignore", icon=":material/download:")  # type: ignore[arg-type]


def now(found: Experiment) -> Experiment:
    """The experiment as it stands when a button is pressed."""
    again = opened()
    return again if again is not None and again.id == found.id else found


def curves_csv(found: Experiment) -> str:
    """A row per step of every run, under one heading."""
    parts = [export_csv(run.config, list(run.steps)) for run in found.runs]
    return "".join(part if not i else part.split("\n", 1)[1] for i, part in enumerate(parts))


def curves_jsonl(found: Experiment) -> str:
    """A line per step of every run."""
    return steps_jsonl([(run.config, run.steps) for run in found.runs])


def texts_jsonl(found: Experiment) -> str:
    """A line per response to a held-out request."""
    return samples_jsonl([(run.config, run.evaluations or {}) for run in found.runs])


def everything(found: Experiment) -> str:
    """All runs as one JSON list."""
    runs = [export_json(run.config, list(run.steps), run.evaluations or {}) for run in found.runs]
    return "[\n" + ",\n".join(runs) + "\n]\n"


def tuned_policy(config: LabConfig) -> bytes:
    """A folder that ``load_policy`` takes, as a ZIP: the reference's files with the weights of the last kept state."""
    from redviz.lab.training import Lab

    run, lab = open_lab_run(config.id), Lab(config)
    written = io.BytesIO()
    try:
        run.load(lab)
        with tempfile.TemporaryDirectory() as folder:
            lab.policy.module.save_pretrained(folder)
            lab.policy.tokenizer.save_pretrained(folder)
            with zipfile.ZipFile(written, "w") as file:
                for path in sorted(Path(folder).rglob("*")):
                    file.write(path, Path(f"lab-{config.id}") / path.relative_to(folder))
    finally:
        lab.close()
    return written.getvalue()
