"""Print every figure of the writer's card from the shipped weights, loaded in float32.

    python -m training.evaluate_writer --data DATA

``texts.py`` says where to get the data. About two minutes on two CPU cores.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

from training.evaluate_sentiment import HERE, LENGTH, REQUEST, Scorer, report
from training.texts import SEED, detokenize, detokenize_review, read_reviews, read_trees, sentence_case, split_reviews


@torch.inference_mode()
def likelihood(model: Qwen3ForCausalLM, scorer: Scorer, name: str, texts: Sequence[str]) -> dict[str, object]:
    """Perplexity per token and bits per byte of responses, their closing token included."""
    prompt = scorer.prompt(REQUEST)
    loss, tokens, size = 0.0, 0, 0
    for text in texts:
        response = [*scorer.encode(text)[0], scorer.end][: LENGTH - len(prompt)]
        ids = torch.tensor([[*prompt, *response]])
        logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1]  # [response token, vocabulary]
        loss += float(torch.nn.functional.cross_entropy(logits, torch.tensor(response), reduction="sum"))
        tokens += len(response)
        size += len(str(scorer.tokenizer.decode(response, skip_special_tokens=True)).encode())
    return {f"perplexity, {name}": math.exp(loss / tokens), f"bits per byte, {name}": loss / size / math.log(2)}


@torch.inference_mode()
def answers(model: Qwen3ForCausalLM, scorer: Scorer, kind: str, count: int = 100) -> dict[str, object]:
    """What the writer answers to a request for one kind of review, judged by the reward model."""
    prompt = scorer.prompt([{"role": "user", "content": f"Write a {kind} film review."}])
    ids = torch.tensor([prompt]).expand(count, -1)
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=80)  # type: ignore[misc]
    made = output[:, len(prompt) :]
    replies = [str(reply) for reply in scorer.tokenizer.batch_decode(made, skip_special_tokens=True)]
    scores = np.array([scorer.reply(reply) for reply in replies])
    return {
        f"{kind}: mean score of {count} answers": float(scores.mean()),
        f"{kind}: share above 0": float((scores > 0).mean()),
        f"{kind}: share that end within 80 tokens": float((made == scorer.end).any(dim=1).float().mean()),
        f"{kind}: three of them": replies[:3],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--sentiment", type=Path, default=HERE / "sentiment")
    parser.add_argument("--writer", type=Path, default=HERE / "writer")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    scorer = Scorer(args.sentiment)
    model = AutoModelForCausalLM.from_pretrained(args.writer, dtype=torch.float32).eval()
    size = (args.writer / "model.safetensors").stat().st_size
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, model.safetensors {size:,} bytes")
    held_out = split_reviews(read_reviews(args.data / "movies/train.jsonl"))[2]
    dev = [detokenize(tree.words)[0] for tree in read_trees(args.data / "sst/dev.txt")]
    reviews = [sentence_case(detokenize_review(review.text)) for review in held_out[:80]]
    rows = likelihood(model, scorer, "SST dev sentences", dev)
    rows |= likelihood(model, scorer, "80 held-out long reviews", reviews)
    for kind in ("positive", "negative"):
        rows |= answers(model, scorer, kind)
    report("Writer", rows)


if __name__ == "__main__":
    main()
