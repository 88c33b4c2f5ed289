"""How tests draw a scene: like the Learn screen, but waiting for every job that the engine has to run first."""

from collections.abc import Mapping
from typing import Any

from redviz.app.engine import Engine
from redviz.app.learn.scenes.scene import Bench, Drawn, Scene, Waiting


def drawn(scene: Scene, engine: Engine, values: Mapping[str, Any] | None = None, **knobs: Any) -> Drawn:
    """The scene with its knobs at their defaults, or as given."""
    while True:
        try:
            return scene.draw(Bench(engine), {**scene.defaults, **(values or {}), **knobs})
        except Waiting as waiting:
            for _, start in waiting.wanted:
                job = start()
                job.finished.wait()
                assert job.state == "done", job.error


def figure(found: Drawn) -> Any:
    """Its Plotly figure."""
    return next(part for part in found.parts if hasattr(part, "to_plotly_json"))


def sentences(found: Drawn) -> str:
    """Its sentences of live numbers."""
    return "\n".join(part for part in found.parts if isinstance(part, str))
