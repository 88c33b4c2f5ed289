"""Credits of every method for the leaderboard's texts, kept on disk response by response."""

from __future__ import annotations

import hashlib
import pickle
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout need not be installed

import redviz
from redviz.data.labels.labels import LabelledItem
from redviz.evaluation.faithfulness.faithfulness import OrderFigures, faithfulness
from redviz.records import Analysis, Credit

Options = Mapping[str, Mapping[str, Any]]  # label -> method and options
SIGNED = "saliency, signed"

CHEAP: Options = {
    "red": {},
    "red_closed": {},
    "abc": {},
    "rollout": {},
    "attention_norm": {},
    "grad_x_input": {},
    "saliency": {},
    "p2t": {},
    "dpo": {},
    "uniform": {},
}
SENTENCES_ALL: Options = {**CHEAP, "occlusion": {"players": "word", "operator": "delete"}}
SENTENCES_DEAR: Options = {
    "ig": {},
    "ig, mean": {"method": "ig", "baseline": "mean"},
    "gradient_shap": {"samples": 32},
    "shapley": {"players": "word", "operator": "delete", "samples": 25},
    "lime": {"players": "word", "operator": "delete"},
    "kernel_shap": {"players": "word", "operator": "delete"},
}
REVIEWS_ALL: Options = CHEAP
REVIEWS_DEAR: Options = {
    "occlusion": {"players": "sentence", "operator": "delete"},
    "ig": {"steps": 16},
    "ig, mean": {"method": "ig", "baseline": "mean", "steps": 16},
    "gradient_shap": {"samples": 8},
    "shapley": {"players": "sentence", "operator": "delete", "samples": 5},
    "lime": {"players": "sentence", "operator": "delete", "samples": 100},
    "kernel_shap": {"players": "sentence", "operator": "delete", "samples": 100},
}


@dataclass(frozen=True)
class Erased:
    """The score of a response, that of what is left when every unit is removed, and figures per method."""

    score: float
    nothing_left: float
    asked: Mapping[str, OrderFigures]


class Credits:
    """The reward model with the policies that ``dpo`` needs, and a folder of what was computed with it."""

    def __init__(self, cache: Path, say: Callable[[str], None], device: str = "cpu") -> None:
        self.model = redviz.load_reward_model("embedded:sentiment", device=device)
        self.policy = redviz.load_policy("embedded:writer-dpo", device=device)
        self.reference = redviz.load_policy("embedded:writer", device=device)
        self.cache, self.say = cache / self.model.source.fingerprint[:12], say
        self.cache.mkdir(parents=True, exist_ok=True)

    def of(self, items: Sequence[LabelledItem], methods: Options, name: str) -> list[Analysis]:
        """Every item's analysis with these credits, computed where they are not kept."""
        started, last, found = time.monotonic(), time.monotonic(), []
        for n, item in enumerate(items, 1):
            found.append(self._one(item, methods))
            if time.monotonic() - last > 20 or n == len(items):
                last = time.monotonic()
                self.say(f"{name}: {n} of {len(items)}, {last - started:.0f} s")
        return found

    def _one(self, item: LabelledItem, methods: Options) -> Analysis:
        path = self.cache / f"{hashlib.sha256(item.response.encode()).hexdigest()[:24]}.pickle"
        kept: tuple[Analysis, dict[str, Any]] | None = pickle.loads(path.read_bytes()) if path.exists() else None
        missing = {
            label: {"method": label, **options}
            for label, options in methods.items()
            if kept is None or kept[1].get(label) != dict(options)
        }
        if missing:
            [made] = redviz.analyze_batch(
                self.model, [item.example], methods=missing, policy=self.policy, reference=self.reference
            )
            if made.observation is None:
                raise SystemExit(f"{item.id}: {made.error}")
            if made.error:
                self.say(f"{item.id}: {made.error}")
            made = replace(made, observation=replace(made.observation, response_row=None, pooling_row=None))
            asked = {label: dict(methods[label]) for label in made.credits}
            if kept is not None:
                made = replace(made, credits={**kept[0].credits, **made.credits})
                asked = {**kept[1], **asked}
            kept = made, asked
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(kept))
            part.replace(path)
        assert kept is not None
        credits = {label: kept[0].credits[label] for label in methods if label in kept[0].credits}
        return replace(kept[0], example=item.example, credits=with_sign(credits, kept[0].score))

    def faithfulness(
        self, item: LabelledItem, analysis: Analysis, granularity: str, operator: str, seed: int
    ) -> Erased:
        """Each method's figures of erasure for the model's own verdict: what raises a score above 0, what lowers one below 0."""
        asked = [(label, credit.meta.get("options"), seed) for label, credit in analysis.credits.items()]
        key = hashlib.sha256(repr((item.response, granularity, operator, asked)).encode()).hexdigest()[:24]
        path = self.cache / f"faithful-{key}.pickle"
        if not path.exists():
            found = faithfulness(self.model, analysis, operator=operator, granularity=granularity, seed=seed)
            way = "raises" if analysis.score > 0 else "lowers"
            asked_for = {label: own.asked[way] for label, own in found.credits.items()}
            path.write_bytes(pickle.dumps(Erased(found.score, found.nothing_left, asked_for)))
        kept: Erased = pickle.loads(path.read_bytes())
        return kept


def with_sign(credits: Mapping[str, Credit], score: float) -> dict[str, Credit]:
    """Beside ``saliency``, which has no sign, the same times the sign of the score, as the attention methods have it."""
    found: dict[str, Credit] = {}
    for label, credit in credits.items():
        found[label] = credit
        if label == "saliency":
            found[SIGNED] = replace(
                credit, values=np.sign(score) * credit.values, closing=np.sign(score) * credit.closing
            )
    return found
