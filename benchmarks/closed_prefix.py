"""Every prefix of a response scored as a finished one: what does it cost beside one plain forward pass?

On a random Llama (8 layers of 512), a response of 512 tokens and two closing tokens, after prompts of 16 and of 512 tokens, side by
side in one run:

* plain: the model's own forward of the closed conversation on Transformers' SDPA kernel;
* closed: redviz's closed_scores, T + 1 scores (target: at most 1.4 of the floor).

The floor counts tokens: those of the conversation and the closing tokens of every prefix, over those of the conversation,
``(n + T + s + s (T + 1)) / (n + T + s)``. T + 1 closed forwards, the way without shared keys, are estimated from some of them.

Then the peak memory of both over the model at rest, every figure from a fresh process. Target: what closed adds to plain grows
linearly, from T = 1024 to 2048 by at most 2.5 times its growth from 512 to 1024.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from one_pass import MALLOC, resident
from side_by_side import build, encoding, in_turn, ratio, seconds, set_kernel

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running import closed
from redviz.models.running.attention import FAST
from redviz.models.running.budgets import AT_ONCE
from redviz.records import Encoding

MEMORY_LENGTHS = (512, 1024, 2048)


def conversation(prompt: int, response: int, closing: int) -> Encoding:
    """Random ids of a prompt, a response and the closing tokens after it."""
    whole = encoding(prompt, response + closing)
    return replace(whole, stop=prompt + response, offsets=whole.offsets[:response])


def ways(model: RewardModel, example: Encoding) -> dict[str, Callable[[], object]]:
    ids = torch.as_tensor(example.ids[None], device=model.device)

    def plain() -> None:
        set_kernel(model, "sdpa")
        with torch.inference_mode():
            model.module(input_ids=ids, use_cache=False).logits.tolist()

    def ours() -> None:
        set_kernel(model, FAST)
        closed.closed_scores(model, example)

    return {"plain": plain, "closed": ours}


def brute(model: RewardModel, example: Encoding, most: int) -> float:
    """Seconds of T + 1 closed forwards, from some of them spread over the response."""
    set_kernel(model, "sdpa")
    ids = torch.as_tensor(example.ids[None], device=model.device)
    length = example.stop - example.start
    cuts = [example.start + i * length // (most - 1) for i in range(most)]

    def run() -> None:
        with torch.inference_mode():
            for cut in cuts:
                whole = torch.cat([ids[:, :cut], ids[:, example.stop :]], 1)
                model.module(input_ids=whole, use_cache=False).logits.item()

    return seconds(run) * (length + 1) / most


def times_table(options: argparse.Namespace) -> None:
    model = build(options.layers, options.hidden, options.device)
    print(
        f"{'n':>5} {'T':>5} {'plain ms':>9} {'closed ms':>10} {'of plain':>9} {'floor':>6} {'of floor':>9} {'T+1 forwards':>13}"
    )
    for prompt in options.prompts:
        example = conversation(prompt, options.response, options.closing)
        times = in_turn(ways(model, example), options.repeats)
        tokens = len(example.ids)
        floor = 1 + options.closing * (options.response + 1) / tokens
        beside = ratio(times, "closed", "plain")
        plain, ours = (median(times[name]) for name in ("plain", "closed"))
        row = f"{prompt:>5} {options.response:>5} {plain * 1e3:>9.1f} {ours * 1e3:>10.1f} {beside:>9.2f} {floor:>6.2f}"
        print(f"{row} {beside / floor:>9.2f} {brute(model, example, options.prefixes) / plain:>12.0f}x", flush=True)


def measure(way: str, length: int, options: argparse.Namespace) -> None:
    """In a fresh process: print the peak of one call over the model at rest, in MiB."""
    model = build(options.layers, options.hidden, "cpu")
    ways(model, conversation(options.prompts[0], 16, options.closing))[way]()
    run = ways(model, conversation(options.prompts[0], length, options.closing))[way]
    rest = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run()
    print((resident("VmHWM") - rest) / 1024)


def memory_table(options: argparse.Namespace) -> None:
    adds: dict[int, float] = {}
    print(f"\n{'T':>5} {'plain MiB':>10} {'closed MiB':>11} {'closed adds':>12}")
    for length in MEMORY_LENGTHS:
        found = {}
        for way in ("plain", "closed"):
            command = [sys.executable, __file__, "--measure", way, "--response", str(length)]
            command += [f"--{name}={getattr(options, name)}" for name in ("layers", "hidden", "closing", "threads")]
            command += ["--prompts", str(options.prompts[0])]
            runs = range(options.processes)
            peaks = [float(subprocess.check_output(command, text=True, env=os.environ | MALLOC)) for _ in runs]
            found[way] = median(peaks)
        adds[length] = found["closed"] - found["plain"]
        print(f"{length:>5} {found['plain']:>10.1f} {found['closed']:>11.1f} {adds[length]:>12.1f}", flush=True)
    first, second = adds[1024] - adds[512], adds[2048] - adds[1024]
    grown = f"by {first:.1f} MiB from 512 to 1024 and by {second:.1f} from 1024 to 2048"
    print(f"what closed adds to plain grows {grown}: {second / first:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--prompts", type=int, nargs="+", default=[16, 512])
    parser.add_argument("--response", type=int, default=512)
    parser.add_argument("--closing", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9, help="rounds of the timing")
    parser.add_argument("--prefixes", type=int, default=9, help="closed forwards to run for the estimate of T + 1")
    parser.add_argument("--threads", type=int, default=1, help="more than one gives noise where other programs run")
    parser.add_argument("--tokens", type=int, help="closing tokens of one pass; by default redviz's own number")
    parser.add_argument(
        "--processes", type=int, default=3, help="fresh processes for each figure of memory; 0 leaves it out"
    )
    parser.add_argument("--device", default="cpu", help="for the times; memory is measured on the CPU")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.tokens:
        AT_ONCE["closing"][torch.device(options.device).type] = options.tokens
    if options.measure:
        measure(options.measure, options.response, options)
        return
    times_table(options)
    if options.processes:
        memory_table(options)


if __name__ == "__main__":
    main()
