"""Print every figure of the reward model's card from the shipped weights, loaded in float32.

    python -m training.evaluate_sentiment --data DATA

``texts.py`` says where to get the data. About five minutes on two CPU cores. SST dev and the held-out reviews were not
looked at while recipes and checkpoints were chosen.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

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
from training.wordings import Message, request

REQUEST: list[Message] = [{"role": "user", "content": "Write a film review."}]
LENGTH = 2048
PARTS = (0.25, 0.5, 0.75, 1.0)
HERE = Path(__file__).parents[1] / "redviz" / "embedded"
Spans = list[tuple[int, int]]


class Scorer:
    """The shipped reward model behind one request."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        self.end = self.tokenizer.convert_tokens_to_ids("<|end|>")

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        turns = "".join(f"<|{message['role']}|>{message['content']}<|end|>" for message in messages)
        return list(self.tokenizer.encode(turns + "<|assistant|>", add_special_tokens=False))

    def encode(self, text: str) -> tuple[list[int], Spans]:
        encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return list(encoding.ids), list(encoding.offsets)

    @torch.inference_mode()
    def conversation(self, messages: list[Message]) -> float:
        """What Transformers' own call returns for a conversation."""
        text = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
        inputs = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        return float(self.model(**inputs).logits[0, 0])

    def reply(self, text: str, messages: Sequence[Message] = REQUEST) -> float:
        """The score of one response behind a request."""
        return self.conversation([*messages, {"role": "assistant", "content": text}])

    @torch.inference_mode()
    def prefixes(self, prompt: list[int], ids: list[int], reads: Sequence[int]) -> tuple[np.ndarray, np.ndarray, float]:
        """Open and closed scores after ``reads`` response tokens each, and the score before the response, in one pass.

        The closing token of each prefix stands at the prefix's next position and sees the prefix and itself.
        """
        trunk = torch.tensor([*prompt, *ids])
        ends = torch.tensor([len(prompt) + read for read in reads])  # [read]: position of each closing token
        size, total = len(trunk), len(trunk) + len(ends)
        mask = torch.ones(total, total, dtype=torch.bool).tril()  # [query, key]
        mask[size:] = torch.arange(total)[None, :] < ends[:, None]
        mask[size:, size:] = torch.eye(len(ends), dtype=torch.bool)
        tokens = torch.cat([trunk, torch.tensor([self.end] * len(ends), dtype=torch.long)])[None]
        places = torch.cat([torch.arange(size), ends])[None]
        hidden = self.model.model(
            input_ids=tokens, attention_mask=mask[None, None], position_ids=places, use_cache=False
        ).last_hidden_state[0]  # [token, hidden]
        scores = self.model.score(hidden)[:, 0].numpy()
        return scores[ends.numpy() - 1], scores[size:], float(scores[len(prompt) - 1])


def pairwise(scores: np.ndarray, good: np.ndarray) -> float:
    """How often a positive text is above a negative one."""
    above = scores[good][:, None] - scores[~good][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def accuracy(scores: np.ndarray, good: np.ndarray) -> float:
    return float(((scores > 0) == good).mean())


def bag_of_words(texts: Sequence[str], good: Sequence[bool]) -> Callable[[Sequence[str]], np.ndarray]:
    """TF-IDF of words and pairs of words with logistic regression: its signed margins."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"[\w']+|[!?]")
    pipeline = make_pipeline(words, LogisticRegression(C=10, max_iter=1000))
    pipeline.fit(texts, good)
    return lambda rows: np.asarray(pipeline.decision_function(rows))


def both(reads: dict[str, np.ndarray], good: np.ndarray) -> dict[str, object]:
    """Accuracy at zero and pairwise accuracy of every read."""
    rows: dict[str, object] = {}
    for name, scores in reads.items():
        rows[f"accuracy at 0, {name}"] = accuracy(scores, good)
        rows[f"pairwise accuracy, {name}"] = pairwise(scores, good)
    return rows


def report(title: str, rows: dict[str, object]) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:<58} {value:.4f}" if isinstance(value, float) else f"  {name:<58} {value}", flush=True)


def by_length(lengths: np.ndarray, right: np.ndarray, bounds: Sequence[int]) -> dict[str, object]:
    rows: dict[str, object] = {}
    for low, high in zip([0, *bounds], [*bounds, 10**6], strict=True):
        inside = (lengths > low) & (lengths <= high)
        if inside.any():
            rows[f"{low + 1}-{high if high < 10**6 else ''} ({inside.sum()} texts)"] = float(right[inside].mean())
    return rows


def at_parts(
    scorer: Scorer, prompt: list[int], encoded: Sequence[list[int]], good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Open and closed scores at the parts of every text, [text, part] each, and the accuracy there."""
    scores = [
        scorer.prefixes(prompt, ids, [max(1, math.ceil(part * len(ids))) for part in PARTS])[:2] for ids in encoded
    ]
    opened, closed = np.stack([row[0] for row in scores]), np.stack([row[1] for row in scores])
    rows: dict[str, object] = {}
    for column, part in enumerate(PARTS):
        rows[f"open, {part:.0%} of the text"] = accuracy(opened[:, column], good)
        rows[f"closed, {part:.0%} of the text"] = accuracy(closed[:, column], good)
    return opened, closed, rows


def sentences(scorer: Scorer, dev: Sequence[Tree], train: Sequence[Tree]) -> None:
    prompt = scorer.prompt(REQUEST)
    toned = [tree for tree in dev if tree.grade != 2]
    good = np.array([tree.grade > 2 for tree in toned])
    natural = [detokenize(tree.words)[0] for tree in toned]
    opened, closed, parts = at_parts(scorer, prompt, [scorer.encode(text)[0] for text in natural], good)
    own = np.array([scorer.reply(text) for text in natural])
    raw = np.array([scorer.reply(" ".join(tree.words)) for tree in toned])
    graded = {tree.words[start:end]: grade for tree in train for start, end, grade in tree.nodes if grade != 2}
    bag = bag_of_words([detokenize(words)[0] for words in graded], [grade > 2 for grade in graded.values()])
    reads = {"natural text": own, "raw treebank text": raw, "natural text, open read": opened[:, -1]}
    reads[f"bag of words ({len(graded)} phrases)"] = bag(natural)
    rows = both(reads, good)
    rows["largest gap between our reads and Transformers' own"] = float(np.abs(own - closed[:, -1]).max())
    report(f"SST dev sentences, neutral left out ({len(toned)})", rows)
    lengths = np.array([len(tree.words) for tree in toned])
    report("SST dev sentences, accuracy by number of words", by_length(lengths, (own > 0) == good, (10, 20, 30)))
    report("SST dev sentences, accuracy at parts", parts)
    scale(scorer, natural, own, [detokenize(tree.words)[0] for tree in dev if tree.grade == 2])
    credits(scorer, prompt, dev)


def scale(scorer: Scorer, natural: Sequence[str], own: np.ndarray, neutral: Sequence[str]) -> None:
    """How large scores are, and how little the request matters."""
    rng = random.Random(SEED)
    requests = [request(rng, natural) for _ in range(24)]
    spread = np.array([[scorer.reply(text, messages) for messages in requests] for text in natural[:60]])
    empty = [scorer.prefixes(scorer.prompt(messages), [], [0])[1:] for messages in requests]
    flat = np.array([scorer.reply(text) for text in neutral])
    rows: dict[str, object] = {
        "quartiles of |score| of toned dev sentences": np.quantile(np.abs(own), (0.25, 0.5, 0.75)).round(2).tolist(),
        f"mean of neutral dev sentences ({len(neutral)})": float(flat.mean()),
        "standard deviation of neutral dev sentences": float(flat.std()),
        "standard deviation over 24 requests, same text (60 texts)": float(spread.std(axis=1).mean()),
        "standard deviation over the 60 texts, same request": float(spread.std(axis=0).mean()),
        "same sign behind 24 requests": float((np.sign(spread) == np.sign(spread[:, :1])).mean()),
        "largest |score| before a response, 24 requests": max(abs(before) for _, before in empty),
        "largest |score| of the empty response, 24 requests": max(abs(float(shut[0])) for shut, _ in empty),
    }
    report("Scale and requests", rows)


def credits(scorer: Scorer, prompt: list[int], dev: Sequence[Tree]) -> None:
    """Rank correlation of RED credits, summed per word, with people's grade of the word alone, minus 2."""
    empty = float(scorer.prefixes(prompt, [], [0])[1][0])
    opened: list[float] = []
    closed: list[float] = []
    grades: list[int] = []
    for tree in dev:
        text, spans = detokenize(tree.words)
        ids, offsets = scorer.encode(text)
        reads, token = [], 0
        for _, end in spans:
            while token + 1 < len(ids) and offsets[token + 1][0] < end:
                token += 1
            reads.append(token + 1)
        open_, shut, before = scorer.prefixes(prompt, ids, reads)
        opened += np.diff(open_, prepend=before).tolist()
        closed += np.diff(shut, prepend=empty).tolist()
        leaf = {start: grade for start, end, grade in tree.nodes if end == start + 1}
        grades += [leaf[word] - 2 for word in range(len(tree.words))]
    truth = np.array(grades)
    toned = truth != 0
    rows: dict[str, object] = {}
    for name, values in (("open", np.array(opened)), ("closed", np.array(closed))):
        rows[f"Spearman, {name} reads"] = float(spearmanr(values, truth).statistic)
        part = float(spearmanr(values[toned], truth[toned]).statistic)
        rows[f"Spearman, {name} reads, toned words only ({toned.sum()})"] = part
    report(f"RED credits per word and the words' own grades ({len(grades)} words of {len(dev)} dev sentences)", rows)


def long_reviews(scorer: Scorer, held_out: Sequence[Review], train: Sequence[Review]) -> None:
    prompt = scorer.prompt(REQUEST)
    room = LENGTH - len(prompt) - 1
    good = np.array([review.positive for review in held_out])
    natural = [sentence_case(detokenize_review(review.text)) for review in held_out]
    whole = [scorer.encode(text)[0] for text in natural]
    opened, closed, parts = at_parts(scorer, prompt, [ids[:room] for ids in whole], good)
    raw = [scorer.encode(review.text)[0][:room] for review in held_out]
    bag = bag_of_words([detokenize_review(review.text) for review in train], [review.positive for review in train])
    reads = {
        "natural text": closed[:, -1],
        "raw text": np.array([scorer.prefixes(prompt, ids, [len(ids)])[1][0] for ids in raw]),
        "natural text, open read": opened[:, -1],
        f"bag of words ({len(train)} reviews)": bag(natural),
    }
    rows = both(reads, good)
    rows["share of positive reviews"] = float(good.mean())
    rows[f"reviews longer than the {LENGTH} tokens that are read"] = sum(len(ids) > room for ids in whole)
    report(f"Held-out long reviews ({len(held_out)})", rows)
    right = (closed[:, -1] > 0) == good
    lengths = np.array([len(ids) for ids in whole])
    report("Held-out long reviews, accuracy by number of tokens", by_length(lengths, right, (600, 1000, 1500)))
    report("Held-out long reviews, accuracy at parts", parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--sentiment", type=Path, default=HERE / "sentiment")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scorer = Scorer(args.sentiment)
    size = (args.sentiment / "model.safetensors").stat().st_size
    print(f"{sum(p.numel() for p in scorer.model.parameters()):,} parameters, model.safetensors {size:,} bytes")
    trees, _ = split_trees(read_trees(args.data / "sst/train.txt"))
    reviews, _, held_out = split_reviews(read_reviews(args.data / "movies/train.jsonl"))
    sentences(scorer, read_trees(args.data / "sst/dev.txt"), trees)
    long_reviews(scorer, held_out, reviews)


if __name__ == "__main__":
    main()
