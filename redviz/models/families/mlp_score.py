"""An MLP called ``score``: INF-ORM and Qwen2.5-Math-RM."""

from __future__ import annotations

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import sequence
from redviz.models.loading.weights import Weights


def _recognises(config: Config, weights: Weights) -> bool:
    return {"score.0.weight", "score.2.weight"} <= set(weights.starting("score.")) and not _is_process(config)


def _is_process(config: Config) -> bool:
    return any("ProcessReward" in str(name) for name in config.get("architectures") or ())


FAMILY = Family(
    title="MLP head (INF-ORM, Qwen2.5-Math-RM)",
    source="infly/INF-ORM-Llama3.1-70B: model card, INFORMForSequenceClassification (as in allenai/reward-bench: "
    "rewardbench/models/inform.py); Qwen/Qwen2.5-Math-RM-72B: modeling_qwen2_rm.py",
    about="Two linear layers with ReLU between, read at the last token.",
    text="the tokenizer's chat template, nothing added: the model cards of both (apply_chat_template)",
    recognises=_recognises,
    head=lambda config, weights: sequence(weights, "score"),
)
