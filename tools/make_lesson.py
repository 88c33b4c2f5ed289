"""Draw the figures of `docs/lesson.md` again: scenes of the Learn screen with the embedded models, as SVG. Needs Kaleido and a Chrome.

python tools/make_lesson.py            # also prints the live sentences that each scene says, which the lesson quotes
"""

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import plotly.graph_objects as go  # noqa: E402

from redviz.app.engine import Engine  # noqa: E402
from redviz.app.learn.scenes.scene import Bench, Drawn, Scene, Value, Waiting, values_of  # noqa: E402
from redviz.app.learn.scenes.table import SCENES  # noqa: E402

FOLDER = ROOT / "docs" / "lesson"
WIDTH = 760  # px
FIGURES: dict[str, tuple[str, Mapping[str, str]]] = {  # file name: (scene, knobs as its link has them)
    "1-sparse": ("sparse-reward", {"answer": "film", "reward": "sparse"}),
    "2-prefix-walk": ("prefix-walk", {"t": "27"}),
    "3-telescoping": ("telescoping", {"start": "prefix", "shift": "0"}),
    "3-shifted": ("telescoping", {"start": "zero_base", "shift": "2"}),
    "4-attention": ("attention-credit", {"review": "film-paper-harbour/c", "layer": "3"}),
    "5-discount": ("monte-carlo", {"discount": "0.99", "difference": "paper"}),
    "6-hacking": ("hacking", {"phrase": "superb", "times": "8"}),
    "7-causation": ("causation", {"method": "red", "operator": "delete"}),
    "8-exact": ("exact", {"prefix": "model", "discount": "1"}),
}


def drawn(scene: Scene, values: Mapping[str, Value], engine: Engine) -> Drawn:
    """What the Learn screen draws, after every job that it waits for."""
    while True:
        try:
            return scene.draw(Bench(engine), values)
        except Waiting as waiting:
            for job in [start() for _, start in waiting.wanted]:
                job.wait()


def main() -> None:
    """Write every figure."""
    FOLDER.mkdir(exist_ok=True)
    engine = Engine()
    for name, (scene_id, knobs) in FIGURES.items():
        scene = SCENES[scene_id]
        values, problem = values_of(scene, knobs)
        assert not problem, problem
        made = drawn(scene, values, engine)
        print(f"\n## {name}: {scene.title}", *[p for p in made.parts if isinstance(p, str)], sep="\n")
        (figure,) = (part for part in made.parts if isinstance(part, go.Figure))
        FOLDER.joinpath(f"{name}.svg").write_bytes(figure.to_image("svg", width=WIDTH, height=figure.layout.height))
    engine.close()


if __name__ == "__main__":
    main()
