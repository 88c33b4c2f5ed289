"""Train ``embedded:sentiment``, a reward model that prefers positive film reviews, from the trunk of the writer.

    python -m training.train_sentiment --data DATA --writer WRITER --out SENTIMENT

``texts.py`` says where to get the data. The loss is Bradley-Terry over all pairs of a batch whose grades differ; the
empty response takes part with grade 2 and is held at zero, so zero is the border between good and bad. Phrases of all
lengths are packed into rows behind one shared request and do not see each other. Each is read open (at its last token)
and closed (at the closing token). The checkpoint is chosen on sentences and reviews held out of the training data; SST
dev is not read here.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3ForSequenceClassification

from training.examples import Phrases, Row, phrase_rows, review_rows
from training.texts import (
    SEED,
    Review,
    Tree,
    detokenize,
    detokenize_review,
    read_reviews,
    read_trees,
    sentence_case,
    split_reviews,
    split_trees,
)
from training.train_writer import END, LENGTH, PAD, Average, add_dropout, optimizer, prompt_ids, save, set_rate


def read_scores(
    model: Qwen3ForSequenceClassification, rows: Sequence[Row]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores, grades and weights of every read of the rows, [read] each."""
    longest = -(-max(map(len, rows)) // 64) * 64  # few different shapes: new ones mean new memory and new kernels
    ids = torch.full((len(rows), longest), PAD)  # [row, token]
    place = torch.zeros_like(ids)  # [row, token]: position within request + own response
    owner = torch.full_like(ids, -1)  # [row, token]: 0 for the request, k for response k, -1 for padding
    at: list[tuple[int, int]] = []
    grades: list[float] = []
    weights: list[float] = []
    for index, row in enumerate(rows):
        used = len(row.prompt)
        ids[index, :used] = torch.tensor(row.prompt)
        place[index, :used] = torch.arange(used)
        owner[index, :used] = 0
        for number, (response, reads) in enumerate(zip(row.responses, row.reads, strict=True), start=1):
            end = used + len(response)
            ids[index, used:end] = torch.tensor(response)
            place[index, used:end] = torch.arange(len(row.prompt), len(row.prompt) + len(response))
            owner[index, used:end] = number
            at += [(index, used + position) for position, _, _ in reads]
            grades += [grade for _, grade, _ in reads]
            weights += [weight for _, _, weight in reads]
            used = end
        at.append((index, len(row.prompt) - 1))
        grades.append(2.0)
        weights.append(1.0)
    mask = None  # right padding only: plain causal attention
    if any(len(row.responses) > 1 for row in rows):
        mask = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == 0)  # [row, query, key]
        mask = (mask & torch.ones(longest, longest, dtype=torch.bool).tril())[:, None]  # [row, 1, query, key]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, attention_mask=mask, position_ids=place, use_cache=False).last_hidden_state
    picked = hidden[tuple(torch.tensor(at).T)].float()  # [read, hidden]
    return model.score(picked)[:, 0], torch.tensor(grades), torch.tensor(weights)


def reward_loss(scores: torch.Tensor, grades: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Bradley-Terry over pairs whose grades differ, and against the empty response, held at zero like neutral text."""
    gap = (grades[:, None] - grades[None, :]).clamp(min=0) * weights[:, None] * weights[None, :]  # [better, worse]
    pairs = nn.functional.softplus(scores[None, :] - scores[:, None])
    tone, sure = (grades - 2).sign(), (grades - 2).abs() * weights
    empty = (nn.functional.softplus(-tone * scores) * sure).sum() / sure.sum().clamp(min=1e-6)
    calm = weights * (tone == 0)
    neutral = (scores.square() * calm).sum() / calm.sum().clamp(min=1e-6)
    return (pairs * gap).sum() / gap.sum().clamp(min=1e-6) + 0.7 * empty + 0.15 * neutral


@torch.inference_mode()
def choose(
    model: Qwen3ForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    trees: Sequence[Tree],
    reviews: Sequence[Review],
) -> tuple[float, float, float, float]:
    """Sentences' accuracy at zero, closed and open; their pairwise accuracy; long reviews' accuracy, both closed."""
    prompt = prompt_ids(tokenizer, [{"role": "user", "content": "Write a film review."}])
    rows = [(detokenize(tree.words)[0], float(tree.grade)) for tree in trees if tree.grade != 2]
    rows += [(sentence_case(detokenize_review(review.text)), 9.0 if review.positive else -9.0) for review in reviews]
    encoded = sorted(
        ((tokenizer.encode(text, add_special_tokens=False), grade) for text, grade in rows), key=lambda row: len(row[0])
    )
    closed, opened, truth = [], [], []
    while encoded:
        size = 64 if len(encoded[0][0]) < 100 else 4
        chunk, encoded = encoded[:size], encoded[size:]
        batch = []
        for ids, grade in chunk:
            ids = ids[: LENGTH - len(prompt) - 1]
            batch.append(Row(prompt, [[*ids, END]], [[(len(ids) - 1, grade, 1.0), (len(ids), grade, 1.0)]]))
        scores = read_scores(model, batch)[0].view(len(chunk), 3)  # [text, (open, closed, header)]
        opened.append(scores[:, 0])
        closed.append(scores[:, 1])
        truth += [grade for _, grade in chunk]
    shut, open_, grades = torch.cat(closed), torch.cat(opened), torch.tensor(truth)
    long, good = grades.abs() == 9, grades > 2
    right = (shut > 0) == good
    pairs = (shut[~long & good][:, None] > shut[~long & ~good][None, :]).float().mean()
    return (
        right[~long].float().mean().item(),
        ((open_ > 0) == good)[~long].float().mean().item(),
        pairs.item(),
        right[long].float().mean().item(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--writer", type=Path, required=True, help="folder that train_writer.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the reward model to")
    parser.add_argument("--steps", type=int, default=1800, help="steps of the learning rate's schedule")
    parser.add_argument("--stop", type=int, help="stop after this many steps, before the schedule ends")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--word-dropout", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--average", type=float, default=0.995)
    parser.add_argument("--reviews", type=float, default=0.15, help="share of the steps that read long reviews")
    parser.add_argument("--every", type=int, default=150, help="steps between two looks at the choosing texts")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)

    trees, choosing = split_trees(read_trees(args.data / "sst/train.txt"))
    reviews, choosing_reviews, _ = split_reviews(read_reviews(args.data / "movies/train.jsonl"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.writer)
    phrases = Phrases(tokenizer, trees, reviews)
    writer = Qwen3ForCausalLM.from_pretrained(args.writer, dtype=torch.float32)
    known = writer.config.to_dict()
    config = Qwen3Config(
        **{key: value for key, value in known.items() if key not in ("architectures", "dtype", "id2label", "label2id")}
    )
    config.num_labels = 1
    model = Qwen3ForSequenceClassification(config)
    model.model.load_state_dict(writer.model.state_dict())
    nn.init.zeros_(model.score.weight)
    average = Average(model, args.average)
    add_dropout(model, args.dropout, args.word_dropout)
    adam = optimizer(model, args.weight_decay)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(phrases.toned)} toned phrases", flush=True)

    start, seen, best, running = time.time(), 0, 0.0, 0.0
    for step in range(args.stop or args.steps):
        set_rate(adam, step, args.steps, args.rate)
        rows = (
            review_rows(tokenizer, reviews, rng)
            if rng.random() < args.reviews
            else phrase_rows(phrases, tokenizer, 8, 320, rng)
        )
        model.train()
        loss = reward_loss(*read_scores(model, rows))
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        average.update(model)
        seen += sum(map(len, rows))
        running += loss.item()
        if (step + 1) % args.every == 0 or step + 1 == (args.stop or args.steps):
            figures = choose(average.model, tokenizer, choosing, choosing_reviews)
            verdict = (figures[0] + figures[1] + 2 * figures[2] + figures[3]) / 5
            if verdict > best:
                best = verdict
                save(average.model, tokenizer, args.out)
            spent = time.time() - start
            row = {"step": step + 1, "loss": round(running / args.every, 4), "choosing": [round(f, 4) for f in figures]}
            print(
                json.dumps(row | {"kept": verdict == best, "tokens/s": round(seen / spent), "seconds": round(spent)}),
                flush=True,
            )
            running = 0.0


if __name__ == "__main__":
    main()
