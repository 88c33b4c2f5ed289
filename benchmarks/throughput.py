"""Credits of a whole data set: how many tokens a second, beside scoring the same rows without credits?

On 512 responses, side by side in one run, each way from text to numbers (tokenizing included):

* plain: Transformers' own forward in padded batches of like length, with the batches that redviz makes; the score and nothing else;
* red + abc: what `redviz score` does for a part, up to its rows (target: at least 0.85 of plain's tokens per second);
* file order: Transformers' own forward in padded batches of the file's order, as a first script does it;
* prefixes: one truncated forward per response token, one at a time. Hours, so it is estimated from some prefixes of some responses
  of all lengths, and the row says so.

`--data` takes any data set that redviz reads; without it the responses are drawn from the gallery's words, of 8 to 400 words.
`--model random` is a Llama of the given size with the embedded model's tokenizer: real weights cost the same.
On the CPU the seconds are those of the processor (`--threads` 1), because other programs may run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from side_by_side import ratio, seconds, set_kernel
from transformers import LlamaConfig, LlamaForSequenceClassification

import redviz
from redviz.credit.recipes import recipes
from redviz.data.gallery import load_gallery
from redviz.data.sets.dataset import open_dataset
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import FAST
from redviz.models.running.budgets import at_once
from redviz.records import Example, Source
from redviz.runs.local import CHUNK, asked_of
from redviz.runs.parts import ALONE, RunExample, score_chunk

WANTED = recipes(["red", "abc"])


def open_model(options: argparse.Namespace) -> RewardModel:
    """The named model, or a random Llama that reads the embedded model's tokens."""
    if options.model != "random":
        return redviz.load_reward_model(options.model, device=options.device)
    tokenizer = redviz.load_reward_model("embedded:sentiment", device="cpu").tokenizer
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=options.hidden * 8 // 3,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        num_key_value_heads=max(1, options.hidden // 128),
        max_position_embeddings=8192,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    module = LlamaForSequenceClassification(config).to(options.device, getattr(torch, options.dtype)).eval()
    module.requires_grad_(False).set_attn_implementation(FAST)
    head = module.score.float()
    mix = torch.ones(1, device=options.device)
    return RewardModel("random", module, tokenizer, head, mix, 8192, Source("random"))


def responses(options: argparse.Namespace) -> list[RunExample]:
    if options.data is not None:
        return list(islice(asked_of(open_dataset(options.data)), options.responses))
    words = [word for item in load_gallery() for response in item.responses for word in response.text.split()]
    drawn = np.random.default_rng(0)
    lengths = np.exp(drawn.uniform(np.log(8), np.log(400), options.responses)).astype(int)  # short ones are many
    texts = [" ".join(drawn.choice(words, length)) for length in lengths]
    return [RunExample(Example("Tell me about it.", text, str(n))) for n, text in enumerate(texts)]


class Plain:
    """Scores without credits: one rendering and one tokenization of a conversation, and Transformers' own forward."""

    def __init__(self, model: RewardModel, asked: list[RunExample]) -> None:
        self.model = model
        self.examples = [one.example for one in asked]
        self.budget = at_once("responses", model.device)

    def texts(self) -> list[str]:
        turns = []
        for example in self.examples:
            prompt = (
                [{"role": "user", "content": example.prompt}] if isinstance(example.prompt, str) else example.prompt
            )
            turns.append([*map(dict, prompt), {"role": "assistant", "content": example.response}])
        return [self.model.tokenizer.apply_chat_template(turn, tokenize=False) for turn in turns]

    def ids(self) -> list[list[int]]:
        given = self.model.tokenizer(self.texts(), add_special_tokens=False)["input_ids"]
        return [row[: self.model.max_length] for row in given]

    def forward(self, rows: list[list[int]]) -> None:
        width = max(map(len, rows))
        pad = self.model.pad_id or 0
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=self.model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.model.device)
        with torch.inference_mode():
            self.model.module(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().cpu()

    def by_length(self) -> None:
        set_kernel(self.model, "sdpa")
        ids = self.ids()
        for start in range(0, len(ids), CHUNK):
            batch: list[list[int]] = []
            for row in sorted(ids[start : start + CHUNK], key=len):
                if batch and (len(batch) + 1) * len(row) > self.budget:
                    self.forward(batch)
                    batch = []
                batch.append(row)
            self.forward(batch)

    def file_order(self, size: int) -> None:
        set_kernel(self.model, "sdpa")
        ids = self.ids()
        for start in range(0, len(ids), size):
            self.forward(ids[start : start + size])


def ours(model: RewardModel, asked: list[RunExample]) -> None:
    set_kernel(model, FAST)
    for start in range(0, len(asked), CHUNK):
        score_chunk(model, asked[start : start + CHUNK], WANTED, ALONE)


def prefixes(plain: Plain, sample: int, each: int) -> float:
    """Estimated seconds of all truncated forwards: some prefixes of some responses of all lengths, each for its neighbours."""
    set_kernel(plain.model, "sdpa")
    encodings = sorted((plain.model.encode(example) for example in plain.examples), key=lambda e: len(e.ids))
    strata = np.array_split(np.arange(len(encodings)), min(sample, len(encodings)))
    total = 0.0
    for members in strata:
        encoding = encodings[int(members[len(members) // 2])]
        ids = encoding.ids.tolist()
        cuts = np.linspace(encoding.start, encoding.stop, each).round().astype(int)
        found = spent(lambda ids=ids, cuts=cuts: [plain.forward([ids[:cut]]) for cut in cuts], plain.model.device.type)
        total += found / each * sum(encodings[i].stop - encodings[i].start + 1 for i in members)
    return total


def spent(run: Callable[[], object], device: str) -> float:
    """Seconds of one call: by the clock on an accelerator; on the CPU of this process, so that other programs do not count."""
    if device != "cpu":
        return seconds(run)
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turn(ways: Mapping[str, Callable[[], object]], repeats: int, device: str) -> dict[str, list[float]]:
    """Seconds of every way, run in turn round after round, there and back; the first round only warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            found = spent(ways[name], device)
            if number:
                times[name].append(found)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="a data set that redviz reads; drawn from the gallery's words if not given"
    )
    parser.add_argument("--responses", type=int, default=512)
    parser.add_argument(
        "--model", default="embedded:sentiment", help="random, embedded:sentiment, a folder or a Hub id"
    )
    parser.add_argument("--layers", type=int, default=4, help="of the random model")
    parser.add_argument("--hidden", type=int, default=256, help="of the random model")
    parser.add_argument("--dtype", default="float32", help="of the random model")
    parser.add_argument("--size", type=int, default=16, help="responses of a batch in file order")
    parser.add_argument("--sample", type=int, default=12, help="responses of which prefixes are run")
    parser.add_argument("--each", type=int, default=8, help="prefixes of each of them")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--threads", type=int, default=1, help="more than one gives noise where other programs run")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = open_model(options)
    asked = responses(options)
    plain = Plain(model, asked)
    tokens = sum(map(len, plain.ids()))
    ways: dict[str, Callable[[], object]] = {
        "plain": plain.by_length,
        "red + abc": lambda: ours(model, asked),
        "file order": lambda: plain.file_order(options.size),
    }
    times = in_turn(ways, options.repeats, model.device.type)
    print(
        f"{len(asked)} responses, {tokens:,} tokens with their prompts, {options.model} on {model.device}"
        + ("; seconds of the processor" if model.device.type == "cpu" else "")
    )
    print(f"{'way':<11} {'seconds':>9} {'tokens/s':>10} {'of plain':>9}")
    for name, found in times.items():
        print(
            f"{name:<11} {median(found):>9.2f} {tokens / median(found):>10,.0f} {1 / ratio(times, name, 'plain'):>9.2f}"
        )
    brute = prefixes(plain, options.sample, options.each)
    said = f"  estimated: {options.each} prefixes of {options.sample} responses"
    print(f"{'prefixes':<11} {brute:>9.0f} {tokens / brute:>10,.0f} {median(times['plain']) / brute:>9.4f}{said}")


if __name__ == "__main__":
    main()
