"""The implicit reward of a DPO policy: what people are told of it; :mod:`redviz.models.kinds.implicit` is the model."""

from __future__ import annotations

from redviz.models.families.family import Described

PREFIX = "dpo:"
DESCRIBED = Described(
    title="Implicit reward of a DPO policy",
    source="eric-mitchell/direct-preference-optimization: trainers.py, preference_loss (Rafailov et al. 2023, arXiv 2305.18290)",
    about="dpo:POLICY|REFERENCE scores a response by β (log π − log π_ref), summed over its tokens; red gives each its own term, exactly.",
    text="the chat template of each of the two, prompt and response as they are where there is none: what their own trainer rendered",
    curve="one pass of each model",
    verified="on embedded:writer-dpo and its reference, against whole logits of Transformers",
)
