"""Human preferences for an assistant's answers: the split by prompt, the baselines, and what a reward model adds to them.

    python -m training.evaluate_assistant --data PREFERENCES [--model FOLDER]

PREFERENCES holds one JSON object a line with ``src``, ``prompt``, ``chosen`` and ``rejected``. The data is not part of the
project; some of its texts are offensive. Rows whose prompts are the same but for case, blanks and punctuation, and
transcripts with the same opening, form one group. A fifth of the groups is held out; everything is fitted and tuned on the
other groups. Intervals are of 2,000 bootstrap draws of groups.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from training.texts import SEED

FOLDS = 5
DRAWS = 2000
LENGTH = 2048  # tokens: the oldest tokens of a longer prompt, then the last tokens of a longer answer, are left out
WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # inverse strengths of the penalty that are tried
COUNTS = ("present", "logarithm", "unit length")
TURN = re.compile(r"\n\n(Human|Assistant):")
Margins = Callable[[Sequence["Preference"]], np.ndarray]


@dataclass(frozen=True)
class Preference:
    """One judged pair of answers; ``group`` is the same for rows that may not be parted by a split."""

    source: str
    prompt: str
    chosen: str
    rejected: str

    @property
    def group(self) -> str:
        opening = turns_of(self.prompt)[0]["content"]
        return " ".join(re.findall(r"\w+", opening.lower())) or opening


def turns_of(prompt: str) -> list[dict[str, str]]:
    """The messages of a prompt: those of a Human/Assistant transcript that ends with ``Assistant:``, or one of the user."""
    if not (prompt.lstrip("\n").startswith("Human:") and "\n\nAssistant:" in prompt):
        return [{"role": "user", "content": prompt}]
    _, *pieces = TURN.split("\n\n" + prompt.lstrip("\n"))
    turns: list[dict[str, str]] = []
    for speaker, said in zip(pieces[::2], pieces[1::2], strict=True):
        role, content = "user" if speaker == "Human" else "assistant", said.removeprefix(" ")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{content}"
        else:
            turns.append({"role": role, "content": content})
    return turns[:-1] if turns[-1]["role"] == "assistant" and not turns[-1]["content"].strip() else turns


def read_preferences(path: Path) -> list[Preference]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Preference(row["src"], row["prompt"], row["chosen"], row["rejected"]) for row in rows]


def fold(pair: Preference, purpose: str, folds: int = FOLDS) -> int:
    """The fold of a pair's group, from 0: the same wherever and in whatever order the group is met."""
    return int(hashlib.sha256(f"{SEED} {purpose} {pair.group}".encode()).hexdigest(), 16) % folds


def split_preferences(pairs: Sequence[Preference]) -> tuple[list[Preference], list[Preference]]:
    """Training pairs and held-out pairs: no group is in both."""
    held_out = [fold(pair, "held out") == 0 for pair in pairs]
    return (
        [pair for pair, out in zip(pairs, held_out, strict=True) if not out],
        [pair for pair, out in zip(pairs, held_out, strict=True) if out],
    )


def right(margins: np.ndarray) -> np.ndarray:
    """1 where the chosen answer is above the rejected one, 1/2 where they are level, else 0: ``[pair]``."""
    return np.where(margins == 0, 0.5, margins > 0)


# --- baselines: each is fitted on the training pairs and gives margins, chosen minus rejected, [pair] -----------------


def words_of(text: str) -> int:
    return len(text.split())


def logistic(differences: np.ndarray | sparse.csr_matrix, penalty: float) -> np.ndarray:
    """Weights of the logistic regression of "the first is chosen" on differences ``[pair, feature]``; every second pair is
    turned round, there is no intercept."""
    sign = np.where(np.arange(differences.shape[0]) % 2, -1.0, 1.0)  # [pair]
    turned = sparse.diags(sign) @ sparse.csr_matrix(differences)
    model = LogisticRegression(C=penalty, fit_intercept=False, solver="liblinear", max_iter=1000)
    return np.asarray(model.fit(turned, sign > 0).coef_[0])


def length_sign(train: Sequence[Preference]) -> Margins:
    """Words of the chosen answer minus words of the rejected one, with the sign that is right more often in training."""

    def longer(pairs: Sequence[Preference]) -> np.ndarray:
        return np.array([float(words_of(pair.chosen) - words_of(pair.rejected)) for pair in pairs])

    sign = 1.0 if right(longer(train)).mean() >= 0.5 else -1.0
    return lambda pairs: sign * longer(pairs)


def lengths(text: str) -> list[float]:
    words, characters = words_of(text), len(text)
    return [np.log1p(words), np.log1p(characters), words / 100, characters / 500, float(np.log1p(words)) ** 2]


def length_logistic(train: Sequence[Preference]) -> Margins:
    """Logistic regression on differences of words and characters, as they are, their logarithms, and one squared."""

    def differences(pairs: Sequence[Preference]) -> np.ndarray:
        return np.array([np.subtract(lengths(pair.chosen), lengths(pair.rejected)) for pair in pairs])

    weights = logistic(differences(train), 1.0)
    return lambda pairs: differences(pairs) @ weights


def length_by_source(train: Sequence[Preference]) -> Margins:
    """``length_sign`` with one sign a source. It is told what no reward model is told: where a pair comes from."""
    rules = {s: length_sign([pair for pair in train if pair.source == s]) for s in {pair.source for pair in train}}
    return lambda pairs: np.array([rules[pair.source]([pair])[0] for pair in pairs])


def counts(texts: Sequence[str], longest: int, weighting: str) -> sparse.csr_matrix:
    """Hashed words and runs of up to ``longest`` words, ``[text, 2 ** 18]``: present or not, log(1 + n), or at length 1."""
    hashing = HashingVectorizer(
        ngram_range=(1, longest), alternate_sign=False, norm=None, n_features=2**18, token_pattern=r"[\w']+|[!?]"
    )
    found = hashing.transform(texts)
    found.data = np.ones_like(found.data) if weighting == "present" else np.log1p(found.data)
    if weighting == "unit length":
        norms = np.sqrt(np.asarray(found.multiply(found).sum(1))[:, 0])
        found = sparse.diags(1 / np.maximum(norms, 1e-9)) @ found * 5.0
    return sparse.csr_matrix(found)


def bag_differences(pairs: Sequence[Preference], longest: int, weighting: str) -> sparse.csr_matrix:
    chosen = counts([pair.chosen for pair in pairs], longest, weighting)
    return chosen - counts([pair.rejected for pair in pairs], longest, weighting)


def bag_of_words(train: Sequence[Preference]) -> tuple[Margins, str]:
    """Logistic regression on differences of hashed counts; their form and the penalty are tuned by five folds of the
    training groups. Returns the margins and what was chosen."""
    inner = np.array([fold(pair, "inner") for pair in train])
    best, setting = -1.0, (1, COUNTS[0], WEIGHTS[0])
    for longest in (1, 2):
        for weighting in COUNTS:
            found = bag_differences(train, longest, weighting)
            for penalty in WEIGHTS:
                margins = np.zeros(len(train))
                for part in range(FOLDS):
                    out = inner == part
                    margins[out] = found[out] @ logistic(found[~out], penalty)
                if (accuracy := right(margins).mean()) > best:
                    best, setting = accuracy, (longest, weighting, penalty)
    longest, weighting, penalty = setting
    weights = logistic(bag_differences(train, longest, weighting), penalty)
    named = f"runs of up to {longest} words, {weighting}, C {penalty}; {best:.4f} over the inner folds"
    return lambda pairs: bag_differences(pairs, longest, weighting) @ weights, named


# --- the reward model -------------------------------------------------------------------------------------------------


def model_margins(folder: Path) -> Margins:
    """Scores of Transformers' own forward pass of the shipped weights, loaded in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def score(prompt: str, answer: str) -> float:
        turns = turns_of(prompt)
        header = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        text = str(tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": answer}], tokenize=False))
        before = tokenizer.encode(header, add_special_tokens=False)
        ids = tokenizer.encode(text, add_special_tokens=False)[len(before) :]
        ids = [*ids[:-1][: LENGTH // 2 - 1], ids[-1]]
        return float(model(torch.tensor([[*before[-(LENGTH - len(ids)) :], *ids]])).logits[0, 0])

    return lambda pairs: np.array([score(p.prompt, p.chosen) - score(p.prompt, p.rejected) for p in pairs])


# --- figures ----------------------------------------------------------------------------------------------------------


def interval(values: np.ndarray, groups: Sequence[str]) -> tuple[float, float, float]:
    """The mean of ``values`` ``[pair]`` and its 95 % interval over bootstrap draws of whole groups."""
    _, place = np.unique(np.array(groups), return_inverse=True)
    sums, sizes = np.bincount(place, values), np.bincount(place)  # [group]
    drawn = np.random.default_rng(SEED).integers(len(sizes), size=(DRAWS, len(sizes)))  # [draw, group]
    low, high = np.quantile(sums[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def table(margins: dict[str, np.ndarray], pairs: Sequence[Preference]) -> list[str]:
    """Accuracy with its interval, a line a judge, a column a source and one for all."""
    sources = np.array([pair.source for pair in pairs])
    groups = np.array([pair.group for pair in pairs])
    kinds = [*sorted(set(sources.tolist())), "all"]
    lines = ["| | " + " | ".join(f"{kind} ({(sources == kind).sum() or len(pairs)})" for kind in kinds) + " |"]
    lines.append("|---" * (len(kinds) + 1) + "|")
    for name, values in margins.items():
        cells = []
        for kind in kinds:
            own = (sources == kind) | (kind == "all")
            cells.append("{:.3f} [{:.3f}, {:.3f}]".format(*interval(right(values)[own], groups[own].tolist())))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the JSON lines of pairs")
    parser.add_argument("--model", type=Path, help="folder of the reward model to judge beside the baselines")
    args = parser.parse_args()
    pairs = read_preferences(args.data)
    train, held_out = split_preferences(pairs)
    groups = [pair.group for pair in held_out]
    print(f"{len(train)} training pairs behind {len({pair.group for pair in train})} groups of prompts")
    print(f"{len(held_out)} held-out pairs behind {len(set(groups))} groups of prompts", flush=True)
    bag, named = bag_of_words(train)
    print(f"bag of words: {named}")
    margins = {
        "length, sign from training": length_sign(train)(held_out),
        "length, logistic": length_logistic(train)(held_out),
        "length, a sign a source (told the source)": length_by_source(train)(held_out),
        "bag of words": bag(held_out),
    }
    if args.model:
        margins["model"] = model_margins(args.model)(held_out)
    print("\n".join(table(margins, held_out)))
    for name in margins if args.model else ():
        if name != "model":
            apart = interval(right(margins["model"]) - right(margins[name]), groups)
            print("model minus {}: {:+.4f} [{:+.4f}, {:+.4f}]".format(name, *apart))


if __name__ == "__main__":
    main()
