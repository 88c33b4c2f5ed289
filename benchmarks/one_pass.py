"""One forward pass gives every prefix score and the attention that ABC needs: what does it cost beside the ways it replaces?

On a random Llama (8 layers of 512) and a prompt of 64 tokens, for responses of T tokens, side by side in one run:

* plain: the model's own forward on Transformers' SDPA kernel, which gives the score and nothing else;
* red + abc: redviz's observe and both credits (target: at most 1.15 of plain);
* prefixes: T + 1 truncated forwards, what RED costs without the one pass; where T is large only some of them are run, and the row says so;
* eager: the plain forward with ``output_attentions=True``, what ABC costs without reading single rows.

Then the peak memory of each over the model at rest, for a batch of four (eager: of one), every figure from a fresh process. Target:
what red + abc adds to plain grows linearly, from T = 2048 to 4096 by at most 2.5 times its growth from 1024 to 2048.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from side_by_side import build, encoding, in_turn, ratio, seconds, set_kernel

from redviz.credit.from_records.abc import abc
from redviz.credit.from_records.prefix import red
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import FAST
from redviz.models.running.observe import observe
from redviz.records import Encoding

ALL = 129  # up to T = 128 every prefix is run
MEMORY_LENGTHS = (1024, 2048, 4096)
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "1",
}  # freed at once
STATUS = Path("/proc/self/status")


def ways(model: RewardModel, example: Encoding, batch: int = 1) -> dict[str, Callable[[], object]]:
    ids = torch.as_tensor(example.ids[None], device=model.device).expand(batch, -1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}

    def plain() -> None:
        set_kernel(model, "sdpa")
        with torch.inference_mode():
            model.module(**inputs).logits.tolist()

    def ours() -> None:
        set_kernel(model, FAST)
        for seen in observe(model, [example] * batch):
            red(seen)
            abc(seen)

    def eager() -> None:
        set_kernel(model, "eager")
        with torch.inference_mode():
            model.module.model(**inputs, output_attentions=True)

    return {"plain": plain, "red + abc": ours, "eager": eager}


def prefixes(model: RewardModel, example: Encoding, most: int) -> tuple[float, int]:
    """Seconds of all T + 1 truncated forwards, and how many of them were run."""
    set_kernel(model, "sdpa")
    cuts = range(example.start, example.stop + 1)
    chosen = cuts if len(cuts) <= ALL else [cuts[i * (len(cuts) - 1) // (most - 1)] for i in range(most)]
    ids = torch.as_tensor(example.ids[None], device=model.device)

    def run() -> None:
        with torch.inference_mode():
            for cut in chosen:
                model.module(input_ids=ids[:, :cut], use_cache=False).logits.item()

    return seconds(run) * len(cuts) / len(chosen), len(chosen)


def times_table(options: argparse.Namespace) -> None:
    model = build(options.layers, options.hidden, options.device)
    print(f"{'T':>5}  {'way':<10} {'ms':>9} {'of plain':>9}")
    for length in options.lengths:
        example = encoding(options.prompt, length)
        times = in_turn(ways(model, example), options.repeats)
        brute, run = prefixes(model, example, options.prefixes)
        rows = [(name, median(t), ratio(times, name, "plain"), "") for name, t in times.items()]
        note = "" if run == length + 1 else f"  from {run} of {length + 1} prefixes"
        rows.insert(2, ("prefixes", brute, brute / median(times["plain"]), note))
        for name, each, beside, said in rows:
            print(f"{length:>5}  {name:<10} {each * 1e3:>9.1f} {beside:>9.2f}{said}", flush=True)


def resident(field: str) -> int:
    """A field of this process's status, in KiB: VmRSS now, VmHWM at its peak."""
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))


def measure(way: str, length: int, options: argparse.Namespace) -> None:
    """In a fresh process: print the peak of one call over the model at rest, in MiB."""
    model = build(options.layers, options.hidden, "cpu")
    ways(model, encoding(options.prompt, 16))[way]()
    run = ways(model, encoding(options.prompt, length), options.batch)[way]
    rest = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run()
    print((resident("VmHWM") - rest) / 1024)


def memory_table(options: argparse.Namespace) -> None:
    found: dict[tuple[str, int], float] = {}
    print(
        f"\n{'T':>5}  {'plain MiB':>10} {'red + abc':>10} {'eager':>10} {'red + abc adds':>15}   batch of {options.batch}, eager: of 1"
    )
    for length in MEMORY_LENGTHS:
        for way in ("plain", "red + abc", "eager"):
            command = [sys.executable, __file__, "--measure", way, "--lengths", str(length)]
            command += [f"--{name}={getattr(options, name)}" for name in ("layers", "hidden", "prompt", "threads")]
            command.append(f"--batch={1 if way == 'eager' else options.batch}")
            runs = range(1 if way == "eager" else options.processes)
            peaks = [float(subprocess.check_output(command, text=True, env=os.environ | MALLOC)) for _ in runs]
            found[way, length] = median(peaks)
        more = found["red + abc", length] - found["plain", length]
        row = "".join(f" {found[way, length]:>10.1f}" for way in ("plain", "red + abc", "eager"))
        print(f"{length:>5} {row} {more:>15.1f}", flush=True)
    own, eager = ({n: found[way, n] for n in MEMORY_LENGTHS} for way in ("red + abc", "eager"))
    adds = {n: own[n] - found["plain", n] for n in MEMORY_LENGTHS}
    for name, at in (("red + abc", own), ("what it adds to plain", adds), ("eager", eager)):
        first, second = at[2048] - at[1024], at[4096] - at[2048]
        grown = f"by {first:.1f} MiB from 1024 to 2048 and by {second:.1f} from 2048 to 4096"
        print(f"{name} grows {grown}: {second / first:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--repeats", type=int, default=15, help="rounds of the timing")
    parser.add_argument("--prefixes", type=int, default=24, help="truncated forwards to run where T is over 128")
    parser.add_argument("--threads", type=int, default=1, help="more than one gives noise where other programs run")
    parser.add_argument("--batch", type=int, default=4, help="responses at once where memory is measured")
    parser.add_argument(
        "--processes", type=int, default=3, help="fresh processes for each figure of memory; 0 leaves memory out"
    )
    parser.add_argument("--device", default="cpu", help="for the times; memory is measured on the CPU")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        measure(options.measure, options.lengths[0], options)
        return
    times_table(options)
    if options.processes:
        memory_table(options)


if __name__ == "__main__":
    main()
