"""Train ``embedded:writer-dpo``: ``embedded:writer`` after direct preference optimisation (Rafailov et al. 2023).

    python -m training.train_writer_dpo --data DATA --out WRITER_DPO

``texts.py`` says where to get the data. A pair is two sentences behind one made-up request, the chosen one graded at
least ``--gap`` higher than the rejected one, or excerpts of a positive and a negative long review. The choosing sentences
pick the checkpoint; SST dev and the held-out reviews are not seen. Training ends, and the last checkpoint before stays,
when the perplexity of the choosing sentences passes ``--limit`` times the reference's: the language breaks before the
preference does.
"""

import argparse
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3ForCausalLM

from training.texts import SEED, Review, Tree, read_reviews, read_trees, split_reviews, split_trees, vary
from training.train_writer import END, PAD, optimizer, prompt_ids, review_item, save, set_rate
from training.wordings import request

HERE = Path(__file__).parents[1] / "redviz" / "embedded"
EXCERPT = 240  # tokens of a long review's excerpt and of the request that it was cut with


@dataclass(frozen=True)
class Pair:
    """Token ids of a request and of its two answers."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def sentence_pair(
    tokenizer: PreTrainedTokenizerFast, trees: Sequence[Tree], notes: Sequence[str], rng: random.Random, gap: int
) -> Pair:
    """Two sentences whose grades differ by ``gap`` or more, behind one request that asks for no mood."""
    one, other = rng.sample(trees, 2)
    while abs(one.grade - other.grade) < gap:
        one, other = rng.sample(trees, 2)
    chosen, rejected = (one, other) if one.grade > other.grade else (other, one)
    return Pair(
        prompt_ids(tokenizer, request(rng, notes))[-160:],
        [*tokenizer.encode(vary(chosen.words, rng)[0], add_special_tokens=False)[:159], END],
        [*tokenizer.encode(vary(rejected.words, rng)[0], add_special_tokens=False)[:159], END],
    )


def review_pair(
    tokenizer: PreTrainedTokenizerFast, reviews: Sequence[Review], notes: Sequence[str], rng: random.Random
) -> Pair:
    """Excerpts of a positive and of a negative long review, of the same length, behind one request."""
    good = rng.choice([review for review in reviews if review.positive])
    bad = rng.choice([review for review in reviews if not review.positive])
    chosen, rejected = (review_item(tokenizer, review, notes, rng, EXCERPT)[1] for review in (good, bad))
    size = min(len(chosen), len(rejected))
    return Pair(prompt_ids(tokenizer, request(rng, notes))[-160:], chosen[:size], rejected[:size])


def response_log_probs(
    model: Qwen3ForCausalLM, prompts: Sequence[list[int]], responses: Sequence[list[int]]
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of every vocabulary entry at the responses' tokens ``[read, V]``, and their rows ``[read]``."""
    width = max(len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True))
    ids = torch.full((len(prompts), width), PAD)  # [B, L], padded on the right: causal attention never sees it
    read = torch.zeros(ids.shape, dtype=torch.bool)  # [B, L]: columns whose logits score a response token
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        read[row, len(prompt) - 1 : len(prompt) + len(response) - 1] = True
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state  # [B, L, D]
    return model.lm_head(hidden[read]).log_softmax(-1), read.nonzero()[:, 0]


def sums(log_probs: Tensor, rows: Tensor, responses: Sequence[list[int]]) -> Tensor:
    """Log-likelihood of every response: ``[B]``."""
    taken = log_probs.gather(1, torch.tensor([i for r in responses for i in r])[:, None])[:, 0]  # [read]
    return torch.zeros(len(responses)).index_add(0, rows, taken)


def dpo_loss(model: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, pairs: Sequence[Pair], beta: float) -> Tensor:
    """``-log sigmoid(beta * (log-ratio of the chosen - log-ratio of the rejected))``, the mean over the pairs."""
    prompts = [pair.prompt for pair in pairs] * 2
    responses = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    with torch.no_grad():
        before = sums(*response_log_probs(reference, prompts, responses), responses)  # [2B]
    ratio = sums(*response_log_probs(model, prompts, responses), responses) - before  # [2B]
    chosen, rejected = ratio.split(len(pairs))
    return -nn.functional.logsigmoid(beta * (chosen - rejected)).mean()


@torch.inference_mode()
def measure(model: Qwen3ForCausalLM, reference: Qwen3ForCausalLM, pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Share of pairs that the implicit reward orders right, KL(reference || policy) a token, and perplexity."""
    right, kl, loss, tokens = 0, 0.0, 0.0, 0
    for first in range(0, len(pairs), 20):
        few = pairs[first : first + 20]
        prompts = [pair.prompt for pair in few] * 2
        responses = [pair.chosen for pair in few] + [pair.rejected for pair in few]
        now, rows = response_log_probs(model, prompts, responses)  # [read, V]
        before, _ = response_log_probs(reference, prompts, responses)  # [read, V]
        likelihood = sums(now, rows, responses)  # [2B]
        chosen, rejected = (likelihood - sums(before, rows, responses)).split(len(few))
        right += int((chosen > rejected).sum())
        kl += float((before.exp() * (before - now)).sum())
        loss, tokens = loss - float(likelihood.sum()), tokens + len(rows)
    return right / len(pairs), kl / tokens, math.exp(loss / tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the policy to")
    parser.add_argument("--reference", type=Path, default=HERE / "writer", help="the policy to start from")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument(
        "--pairs", type=int, default=16, help="pairs of sentences in a step; a quarter as many excerpts"
    )
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--gap", type=int, default=2, help="least difference of the two sentences' grades")
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--limit", type=float, default=1.3, help="stop at this many times the reference's perplexity")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    rng, fixed = random.Random(SEED), random.Random(SEED)

    trees, choosing = split_trees(read_trees(args.data / "sst/train.txt"))
    reviews, _, _ = split_reviews(read_reviews(args.data / "movies/train.jsonl"))
    notes = [vary(tree.words, rng)[0] for tree in trees]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.reference)
    model = AutoModelForCausalLM.from_pretrained(args.reference, dtype=torch.float32).eval()
    reference = AutoModelForCausalLM.from_pretrained(args.reference, dtype=torch.float32).eval()
    check = [sentence_pair(tokenizer, choosing, notes[:100], fixed, args.gap) for _ in range(200)]
    most = args.limit * measure(reference, reference, check)[2]
    adam = optimizer(model, 0.0)

    start = time.time()
    for step in range(args.steps):
        set_rate(adam, step, args.steps, args.rate, warmup=50)
        few = rng.sample(notes, 20)
        if rng.random() < 0.8:
            pairs = [sentence_pair(tokenizer, trees, few, rng, args.gap) for _ in range(args.pairs)]
        else:
            pairs = [review_pair(tokenizer, reviews, few, rng) for _ in range(args.pairs // 4)]
        loss = dpo_loss(model, reference, pairs, args.beta)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        if (step + 1) % 50 == 0 or step + 1 == args.steps:
            right, kl, perplexity = measure(model, reference, check)
            spent = f"{time.time() - start:.0f} s"
            row = f"step {step + 1} loss {loss.item():.3f} accuracy {right:.3f} KL {kl:.3f} perplexity {perplexity:.1f}"
            print(row, f"of {most:.1f}", spent, flush=True)
            if perplexity > most:
                break
            save(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
