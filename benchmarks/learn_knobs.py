"""From the move of a knob on the Learn screen to its figure: how long does the engine work? (Target: a second.)

Every scene is drawn at every option of its knobs (a slider at its ends and its middle), the others at their defaults, once: with
nothing kept of that option, as the first person sees it. Models are loaded before. The second draw comes from what is kept. Processor
seconds of this process, so that other work on the machine counts less; what the browser adds is not in it.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/learn_knobs.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from redviz.app.engine import Engine
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene, Waiting
from redviz.app.learn.scenes.table import SCENES


def drawn(bench: Bench, scene: Scene, values: Mapping[str, Any]) -> Drawn:
    """The scene, once everything that it waits for is there."""
    while True:
        try:
            return scene.draw(bench, values)
        except Waiting as waiting:
            for job in [start() for _, start in waiting.wanted]:
                job.wait()


def positions(knob: Knob) -> list[Any]:
    """Every option, or both ends and the middle of a slider."""
    if knob.options:
        return list(knob.options)
    middle = knob.low + knob.step * round((knob.high - knob.low) / knob.step / 2)
    return [type(knob.default)(at) for at in (knob.low, middle, knob.high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), metavar="SCENE", help="some alone")
    scenes = [SCENES[name] for name in parser.parse_args().scenes]
    bench = Bench(Engine())
    opened = {}
    for scene in scenes:  # loads every model
        started = time.process_time()
        drawn(bench, scene, scene.defaults)
        opened[scene.id] = time.process_time() - started
    for number, scene in enumerate(scenes, 1):
        slowest, again, where = 0.0, 0.0, ""
        for knob in scene.knobs:
            for value in positions(knob):
                values = {**scene.defaults, knob.name: value}
                started = time.process_time()
                drawn(bench, scene, values)
                first = time.process_time()
                drawn(bench, scene, values)
                again = max(again, time.process_time() - first)
                if first - started > slowest:
                    slowest, where = first - started, f"{knob.name} at {knob.write(value)}"
        took = f"opened {opened[scene.id]:5.2f} s  knob {slowest:5.2f} s  again {again:.2f} s"
        print(f"{number:2d} {scene.id:22s} {took}  slowest: {where}")


if __name__ == "__main__":
    main()
