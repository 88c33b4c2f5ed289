"""The linear teacher of ``train_assistant.py``: word counts and plain measures of an answer, weighed by the kind of prompt."""

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from training.evaluate_assistant import Preference, counts, logistic, turns_of

QUESTIONS = ("who", "what", "when", "where", "why", "how", "which", "is", "are", "do", "does", "did", "can", "was")


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def kind(prompt: str) -> np.ndarray:
    """What a prompt is, ``[6]``: any; a transcript; a short question; another short one; a long one; how long."""
    asked = turns_of(prompt)[-1]["content"]
    said, size = words(asked), len(words(prompt))
    transcript = len(prompt.split("\n\nHuman:")) > 1
    question = not transcript and size < 14 and (asked.strip().endswith("?") or "".join(said[:1]) in QUESTIONS)
    plain = not transcript
    length = plain * np.log1p(size) / 4
    return np.array([1.0, transcript, question, plain and not question and size < 25, plain and size >= 60, length])


def measures(prompt: str, answer: str) -> np.ndarray:
    """Twelve plain measures of an answer, all 0 for the empty one: ``[12]``."""
    said, asked = words(answer), set(words(turns_of(prompt)[-1]["content"]))
    different, size = set(said), max(len(said), 1)
    shared = len(different & asked)
    return np.array(
        [
            np.log1p(len(said)),
            len(said) / 100,
            shared / max(len(asked), 1),
            shared / max(len(different), 1),
            len(different) / size,
            np.log1p(answer.count("\n")),
            np.log1p(answer.count(". ") + answer.count(".\n")),
            float(answer.rstrip()[-1:] in tuple('.!?"')),
            np.log1p(sum(map(str.isdigit, answer))),
            float("?" in answer),
            len(answer) / size / 5,
            np.log1p(sum(map(str.isupper, answer))),
        ]
    )


class Teacher:
    """A linear scorer of answers, fitted on pairs."""

    def __init__(self, pairs: Sequence[Preference], share: float, penalty: float = 0.01) -> None:
        self.share, self.scale = share, np.ones(12)
        prompts = [pair.prompt for pair in pairs]
        chosen = [measures(pair.prompt, pair.chosen) for pair in pairs]
        self.scale = np.std(
            np.array(chosen) - np.array([measures(p.prompt, p.rejected) for p in pairs]), axis=0
        )  # [measure]
        self.scale[self.scale == 0] = 1.0
        differences = self.features(prompts, [p.chosen for p in pairs]) - self.features(
            prompts, [p.rejected for p in pairs]
        )
        self.weights = logistic(differences, penalty)

    def features(self, prompts: Sequence[str], answers: Sequence[str]) -> sparse.csr_matrix:
        kinds = np.array([kind(prompt) for prompt in prompts])  # [answer, kind]
        plain = np.array([measures(*both) for both in zip(prompts, answers, strict=True)]) / self.scale
        bag = counts(answers, 1, "logarithm") * self.share
        gates = [np.full(len(kinds), 0.5), kinds[:, 1], 1 - kinds[:, 1] - kinds[:, 2], kinds[:, 2]]
        crossed = (plain[:, :, None] * kinds[:, None, :]).reshape(len(kinds), -1)  # [answer, measure * kind]
        return sparse.hstack([*(sparse.diags(gate) @ bag for gate in gates), sparse.csr_matrix(crossed)]).tocsr()

    def word_weights(self, texts: Sequence[str]) -> np.ndarray:
        """The weights of single words in transcripts, behind other prompts and behind questions: ``[text, 3]``."""
        size = counts([""], 1, "logarithm").shape[1]
        gated = self.weights[: 4 * size].reshape(4, size)
        return np.asarray(counts(texts, 1, "logarithm") @ (0.5 * gated[:1] + gated[1:]).T)

    def scores(self, prompts: Sequence[str], answers: Sequence[str]) -> np.ndarray:
        return np.asarray(self.features(prompts, answers) @ self.weights)
