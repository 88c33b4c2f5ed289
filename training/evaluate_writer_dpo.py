"""Print every figure of the DPO policy's card from the shipped weights, loaded in float32.

    python -m training.evaluate_writer_dpo --data DATA

``texts.py`` says where to get the data. About three minutes on one CPU core.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

from training.evaluate_sentiment import HERE, REQUEST, Scorer, report
from training.evaluate_writer import likelihood
from training.texts import SEED, detokenize, detokenize_review, read_reviews, read_trees, sentence_case, split_reviews

GAP = 2  # least difference of two sentences' grades
EXCERPT = 160  # tokens of a long review
Models = tuple[Qwen3ForCausalLM, Qwen3ForCausalLM]


@torch.inference_mode()
def log_likelihood(model: Qwen3ForCausalLM, prompt: list[int], response: list[int]) -> float:
    ids = torch.tensor([[*prompt, *response]])
    logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1]  # [response token, vocabulary]
    return -float(torch.nn.functional.cross_entropy(logits, torch.tensor(response), reduction="sum"))


def ordered(scores: np.ndarray, grades: np.ndarray, gap: int) -> float:
    """Of all pairs whose grades differ by ``gap`` or more, the share whose higher grade has the higher score."""
    above = scores[:, None] - scores[None, :]  # [text, text]
    pairs = grades[:, None] - grades[None, :] >= gap
    return float((above[pairs] > 0).mean() + 0.5 * (above[pairs] == 0).mean())


def preferences(
    models: Models, scorer: Scorer, name: str, texts: Sequence[list[int]], grades: Sequence[int], gap: int
) -> dict[str, object]:
    """How well the implicit reward orders held-out pairs, and how well the reference and the length alone do."""
    prompt = scorer.prompt(REQUEST)
    likelihoods = np.array([[log_likelihood(model, prompt, ids) for model in models] for ids in texts])  # [text, 2]
    marks = np.array(grades)
    pairs = int((marks[:, None] - marks[None, :] >= gap).sum())
    return {
        f"{name}: pairs": pairs,
        f"{name}: implicit reward": ordered(likelihoods[:, 1] - likelihoods[:, 0], marks, gap),
        f"{name}: likelihood under the reference": ordered(likelihoods[:, 0], marks, gap),
        f"{name}: shorter first": ordered(-np.array([float(len(ids)) for ids in texts]), marks, gap),
    }


@torch.inference_mode()
def answers(models: Models, scorer: Scorer, which: int, count: int = 100) -> dict[str, object]:
    """What the reference (0) or the policy (1) answers to a request that asks for no mood, judged by the reward model."""
    prompt = scorer.prompt(REQUEST)
    ids = torch.tensor([prompt]).expand(count, -1)
    output = models[which].generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=80)  # type: ignore[misc]
    made = output[:, len(prompt) :]
    replies = [str(reply) for reply in scorer.tokenizer.batch_decode(made, skip_special_tokens=True)]
    scores = np.array([scorer.reply(reply) for reply in replies])
    log_probs = [m(output, use_cache=False).logits[:, len(prompt) - 1 : -1].log_softmax(-1) for m in models]
    divergence = (log_probs[1].exp() * (log_probs[1] - log_probs[0])).sum(-1)  # [answer, token]
    closed = (made == scorer.end).cumsum(1)
    counted = (closed == 0) | ((closed == 1) & (made == scorer.end))  # [answer, token]: up to the closing token
    rows: dict[str, object] = {
        f"mean score of {count} answers": float(scores.mean()),
        "standard error": float(scores.std(ddof=1) / count**0.5),
        "share above 0": float((scores > 0).mean()),
        "share that end within 80 tokens": float((closed[:, -1] > 0).float().mean()),
        "tokens an answer": float(counted.sum() / count),
        "different words, of all words": len({w for r in replies for w in r.lower().split()})
        / sum(len(r.split()) for r in replies),
        "three of them": replies[:3],
    }
    if which == 1:
        rows["KL(policy || reference) a token of them"] = float(divergence[counted].mean())
        rows["KL(policy || reference) an answer"] = float((divergence * counted).sum() / count)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--sentiment", type=Path, default=HERE / "sentiment")
    parser.add_argument("--reference", type=Path, default=HERE / "writer")
    parser.add_argument("--policy", type=Path, default=HERE / "writer-dpo")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scorer = Scorer(args.sentiment)
    reference, policy = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (args.reference, args.policy)
    )
    size = (args.policy / "model.safetensors").stat().st_size
    print(f"{sum(p.numel() for p in policy.parameters()):,} parameters, model.safetensors {size:,} bytes")
    trees = read_trees(args.data / "sst/dev.txt")
    held_out = split_reviews(read_reviews(args.data / "movies/train.jsonl"))[2]
    dev = [detokenize(tree.words)[0] for tree in trees]
    reviews = [sentence_case(detokenize_review(review.text)) for review in held_out]

    models = (reference, policy)
    sentences = [[*scorer.encode(text)[0], scorer.end] for text in dev]
    excerpts = [scorer.encode(text)[0][:EXCERPT] for text in reviews]
    rows = preferences(models, scorer, "SST dev", sentences, [tree.grade for tree in trees], GAP)
    rows |= preferences(models, scorer, "long reviews' openings", excerpts, [int(r.positive) for r in held_out], 1)
    report("Held-out pairs in the right order (chance is 0.5)", rows)
    for which, name in enumerate(("Reference", "Policy")):
        torch.manual_seed(SEED)
        shown = likelihood(models[which], scorer, "SST dev sentences", dev)
        shown |= likelihood(models[which], scorer, "80 held-out long reviews", reviews[:80])
        report(name, shown | answers(models, scorer, which))


if __name__ == "__main__":
    main()
