"""Train a small reward model on human preferences for an assistant's answers.

    python -m training.train_assistant --data PREFERENCES --out ASSISTANT

``evaluate_assistant.py`` says what the data is and how it is split by prompt; the held-out fifth is not seen here. A tenth
of the training groups is left out of tokenizer, teacher and training and chooses the checkpoint by its Bradley-Terry loss.

Five thousand pairs are too few to learn words from comparisons alone. So a linear teacher is fitted first, on the same
pairs: logistic regression on differences of word counts and of twelve plain measures of an answer, each with a weight of
its own per kind of prompt. The model learns the teacher's scores of whole and unfinished answers (the empty one has 0)
and, from the same passes, the pairs themselves (Bradley-Terry). What is kept is one network; the teacher is not.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3ForSequenceClassification

from training.evaluate_assistant import Preference, fold, read_preferences, split_preferences, turns_of
from training.teacher import Teacher
from training.texts import SEED
from training.train_writer import (
    END,
    PAD,
    Average,
    add_dropout,
    build_config,
    build_tokenizer,
    optimizer,
    prompt_ids,
    save,
    set_rate,
)

PROMPT, LONG_PROMPT, ANSWER = 128, 384, 512  # tokens that are read: the last of a prompt, the first of an answer
OFFENSIVE = "hh_harmless_test"  # these texts make no tokens: the vocabulary ships


@dataclass(frozen=True)
class Read:
    """Token ids of a prompt and one answer, the positions that are read, the last one at the closing token, and the
    teacher's score of the answer up to there."""

    ids: list[int]
    positions: list[int]
    targets: list[float]


def reads_of(
    tokenizer: PreTrainedTokenizerFast, teacher: Teacher | None, pairs: Sequence[Preference], rng: random.Random
) -> list[tuple[Read, Read]]:
    """Chosen and rejected answers; with a teacher, each is read at the header and at up to six more places too."""
    rows: list[tuple[list[int], list[int]]] = []
    prompts: list[str] = []
    texts: list[str] = []
    for pair in pairs:
        room = LONG_PROMPT if rng.random() < 0.15 else PROMPT
        header = prompt_ids(tokenizer, turns_of(pair.prompt))[-room:]
        for answer in (pair.chosen, pair.rejected):
            encoding = tokenizer.backend_tokenizer.encode(answer, add_special_tokens=False)
            ids, ends = encoding.ids[:ANSWER], [end for _, end in encoding.offsets[:ANSWER]]
            cuts = sorted(rng.sample(range(len(ids)), min(6, len(ids)))) if teacher else []
            rows.append(([*header, *ids, END], [len(header) - 1, *(len(header) + cut for cut in cuts), -1]))
            whole = answer[: ends[-1]] if ends else ""
            cut_texts = ["", *(answer[: ends[cut]] for cut in cuts), whole]
            texts += cut_texts
            prompts += [pair.prompt] * len(cut_texts)
    targets = teacher.scores(prompts, texts).tolist() if teacher else [0.0] * len(texts)
    reads, at = [], 0
    for ids, positions in rows:
        positions[-1] = len(ids) - 1
        reads.append(Read(ids, positions, targets[at : at + len(positions)]))
        at += len(positions)
    return list(zip(reads[::2], reads[1::2], strict=True))


def made_up(pairs: Sequence[Preference], rng: random.Random) -> Preference:
    """A prompt with two answers that nobody compared: its own or another prompt's, whole, cut or with words left out."""

    def answer(own: Preference) -> str:
        told = rng.choice([own, own, rng.choice(pairs)])
        text = rng.choice([told.chosen, told.rejected])
        change = rng.random()
        if change < 0.4:
            return text[: rng.randint(0, len(text))]
        if change < 0.7:
            pieces = re.split(r"(?<=[.!?\n])", text)
            return "".join(piece for piece in pieces if rng.random() < 0.6)
        return text if change < 0.85 else " ".join(word for word in text.split(" ") if rng.random() < 0.7)

    own = rng.choice(pairs)
    return Preference(own.source, own.prompt, answer(own), answer(own))


def batches(pairs: Sequence[tuple[Read, Read]], tokens: int, rng: random.Random) -> list[list[tuple[Read, Read]]]:
    """Pairs of like length together, up to ``tokens`` with padding, in random order."""
    order = sorted(pairs, key=lambda pair: max(len(read.ids) for read in pair) * rng.uniform(0.9, 1.1))
    found: list[list[tuple[Read, Read]]] = [[]]
    longest = 0
    for pair in order:
        longest = max(longest, *(len(read.ids) for read in pair))
        if found[-1] and 2 * (len(found[-1]) + 1) * longest > tokens:
            found.append([])
            longest = max(len(read.ids) for read in pair)
        found[-1].append(pair)
    rng.shuffle(found)
    return found


def forward(model: Qwen3ForSequenceClassification, pairs: Sequence[tuple[Read, Read]]) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and targets of every read, ``[read]``, and which reads close an answer, ``[2 * pair]``, chosen first."""
    rows = [read for pair in pairs for read in pair]
    longest = -(-max(len(read.ids) for read in rows) // 32) * 32
    ids = torch.full((len(rows), longest), PAD)  # [row, token], padded on the right: causal attention never sees it
    for index, read in enumerate(rows):
        ids[index, : len(read.ids)] = torch.tensor(read.ids)
    at = [(index, position) for index, read in enumerate(rows) for position in read.positions]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state  # [row, token, hidden]
    scores = model.score(hidden[tuple(torch.tensor(at).T)].float())[:, 0]
    closing = torch.tensor([len(read.positions) for read in rows]).cumsum(0) - 1
    return scores, torch.tensor([target for read in rows for target in read.targets]), closing


@torch.inference_mode()
def choose(model: Qwen3ForSequenceClassification, pairs: Sequence[tuple[Read, Read]]) -> tuple[float, float]:
    """Bradley-Terry loss and accuracy of pairs."""
    margins = []
    for batch in batches(pairs, 16384, random.Random(SEED)):
        scores, _, closing = forward(model, batch)
        margins.append(scores[closing][::2] - scores[closing][1::2])
    found = torch.cat(margins)
    return nn.functional.softplus(-found).mean().item(), (found > 0).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the JSON lines of pairs")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the reward model to")
    parser.add_argument("--start", type=Path, help="go on from this model instead of a new one")
    parser.add_argument("--bag", type=float, default=0.3, help="scale of the teacher's word counts; 0 leaves them out")
    parser.add_argument("--made", type=float, default=0.0, help="made-up pairs for each judged one")
    parser.add_argument("--steps", type=int, default=2952)
    parser.add_argument("--vocabulary", type=int, default=6144)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--pairs", type=float, default=0.5, help="weight of the pairs beside the teacher's scores")
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--word-dropout", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--average", type=float, default=0.99)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens of a step, padding included")
    parser.add_argument("--every", type=int, default=150, help="steps between two looks at the choosing pairs")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)

    known, _ = split_preferences(read_preferences(args.data))
    train = [pair for pair in known if fold(pair, "choosing", 10)]
    choosing = [pair for pair in known if not fold(pair, "choosing", 10)]
    clean = [pair for pair in train if pair.source != OFFENSIVE]
    texts = sorted({text for pair in clean for text in (pair.prompt, pair.chosen, pair.rejected)})
    tokenizer = build_tokenizer(texts, args.vocabulary)
    if args.start:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.start)
    teacher = Teacher(train, args.bag)
    judged = teacher.scores([p.prompt for p in choosing], [p.chosen for p in choosing])
    judged -= teacher.scores([p.prompt for p in choosing], [p.rejected for p in choosing])
    print(f"{len(train)} pairs, {len(choosing)} choosing; teacher {(judged > 0).mean():.4f}", flush=True)
    print(
        f"teacher's Bradley-Terry loss {np.log1p(np.exp(-judged)).mean():.4f}, {time.process_time():.0f} s", flush=True
    )
    check = reads_of(tokenizer, None, choosing, rng)
    config = build_config(len(tokenizer), args.hidden, args.layers)
    config.num_labels = 1
    model = Qwen3ForSequenceClassification(config)
    nn.init.zeros_(model.score.weight)
    hints = torch.tensor(
        teacher.word_weights([str(tokenizer.decode([i])) for i in range(len(tokenizer))])
    )  # [token, 3]
    with torch.no_grad():  # the first three coordinates of a token start with what the teacher says about it alone
        model.model.embed_tokens.weight[:, :3] = 0.06 * (hints / (hints.std(0) + 1e-9)).clamp(-4, 4)
    if args.start:
        model = Qwen3ForSequenceClassification.from_pretrained(args.start, dtype=torch.float32)
    average = Average(model, args.average)
    add_dropout(model, args.dropout, args.word_dropout)
    adam = optimizer(model, args.weight_decay)
    prompts = [pair.prompt for pair in train]
    whole = np.array(
        [teacher.scores(prompts, list(of)) for of in zip(*((p.chosen, p.rejected) for p in train), strict=True)]
    )
    spread, gap = float(whole.var()), float((whole[0] - whole[1]).var())
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)

    best, running, step, steps = float("inf"), np.zeros(3), 0, args.steps
    while step < steps:
        if args.made or not step:  # judged pairs alone are read at the same places in every epoch
            made = [made_up(train, rng) for _ in range(round(args.made * len(train)))]
            rows = reads_of(tokenizer, teacher, [*train, *made], rng)
        people = {id(pair) for pair in rows[: len(train)]}
        for batch in batches(rows, args.tokens, rng):
            set_rate(adam, step, steps, args.rate, 50)
            model.train()
            scores, targets, closing = forward(model, batch)
            margins = scores[closing][::2] - scores[closing][1::2]  # [pair]
            asked = targets[closing][::2] - targets[closing][1::2]  # [pair]
            real = torch.tensor([float(id(pair) in people) for pair in batch])  # [pair]: judged by people
            terms = torch.stack(
                [
                    (scores - targets).square().mean() / spread,
                    (margins - asked).square().mean() / gap,
                    (nn.functional.softplus(-margins) * real).sum() / real.sum().clamp(min=1),
                ]
            )
            loss = terms @ torch.tensor([1.0, 1.0, args.pairs])
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            average.update(model)
            running, step = running + terms.detach().numpy(), step + 1
            if step % args.every == 0 or step >= steps:
                found = choose(average.model, check)
                if found[0] < best:
                    best = found[0]
                    save(average.model, tokenizer, args.out)
                row = {
                    "step": step,
                    "losses": (running / args.every).round(4).tolist(),
                    "choosing": np.round(found, 4).tolist(),
                }
                print(
                    json.dumps(row | {"kept": found[0] == best, "processor s": round(time.process_time())}), flush=True
                )
                running = np.zeros(3)
            if step >= steps:
                break


if __name__ == "__main__":
    main()
