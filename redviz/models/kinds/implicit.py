"""The implicit reward of a DPO policy as a reward model: beta times its log-ratio to a reference, exact at every token."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from redviz.errors import RedvizError
from redviz.models.families.dpo import PREFIX
from redviz.models.kinds.function import FunctionModel, RewardFunction
from redviz.models.kinds.policy import Policy, load_policy, log_probs
from redviz.records import Array, Encoding, Example, Observation, Prompt

BETWEEN, BETA = "|", 0.1


@dataclass
class ImplicitReward(FunctionModel):
    """Made by :func:`load_implicit`; its tokens are the policy's, and its prefix scores are sums of log-ratios.

    ``P_t = beta * sum of (log pi - log pi_ref) over the first t tokens`` and ``P_0 = 0``: no attribution is needed, ``red`` gives every
    token its own term. What the prompt alone would add cancels between responses to one prompt.

    Attributes
    ----------
    policy, reference
        Two language models with one vocabulary.
    beta
        The temperature that the policy was tuned with.
    """

    function: RewardFunction = field(init=False, repr=False)
    split: str = field(init=False, default="token")
    policy: Policy = field(kw_only=True, repr=False)
    reference: Policy = field(kw_only=True, repr=False)
    beta: float = field(kw_only=True, default=BETA)
    trained_length: int | None = field(kw_only=True, default=None)
    unit: ClassVar[str] = "token"

    def __post_init__(self) -> None:
        self.function = lambda prompt, response: float(self.score_texts(prompt, [response])[0])

    @property
    def module(self) -> Any:
        return self.policy.module

    @property
    def tokenizer(self) -> Any:
        return self.policy.tokenizer

    def encode(self, example: Example) -> Encoding:
        """As the policy reads it; see :meth:`redviz.models.kinds.policy.Policy.encode`."""
        return self.policy.encode(example)

    def observe(self, encoding: Encoding) -> Observation:
        """One forward pass of each model gives every prefix score. The end-of-turn token's term, where there is one, is the closing."""
        self.forwards += 2
        known = log_probs(self.policy, self.reference, encoding)
        terms = self.beta * (known.policy.astype(np.float64) - known.reference)  # [T]
        columns = np.full(len(encoding.ids), np.nan, np.float32)  # [L]
        columns[encoding.start - 1 : encoding.stop] = np.concatenate([[0.0], np.cumsum(terms)])
        end = 0.0 if known.closing is None else self.beta * float(known.closing[0] - known.closing[1])
        if encoding.read >= encoding.stop:
            columns[encoding.read] = terms.sum() + end
        return Observation(encoding, columns, black_box=True)

    def observe_all(self, encodings: Sequence[Encoding]) -> list[Observation]:
        """:meth:`observe` for each."""
        return [self.observe(encoding) for encoding in encodings]

    def score_texts(self, prompt: Prompt, responses: Sequence[str]) -> Array:
        """The implicit reward of each response, ``[B]`` float32; of an empty one 0."""
        return np.array(
            [self.observe(self.encode(Example(prompt, text))).score if text else 0.0 for text in responses], np.float32
        )


def load_implicit(name: str, *, device: str = "auto", dtype: Any = "auto", **options: Any) -> ImplicitReward:
    """Load ``"dpo:POLICY|REFERENCE"``, or ``"dpo:POLICY|REFERENCE|BETA"``: folders, Hub ids or ``embedded:`` names.

    Raises
    ------
    RedvizError
        Where the name has other parts, beta is no positive number, or a model does not load as a language model.
    """
    parts = name.removeprefix(PREFIX).split(BETWEEN)
    if len(parts) not in (2, 3) or not all(part.strip() for part in parts):
        raise RedvizError(
            f"{name} names no policy and reference; write dpo:POLICY|REFERENCE, or dpo:POLICY|REFERENCE|BETA."
        )
    try:
        beta = float(parts[2]) if len(parts) == 3 else BETA
    except ValueError:
        beta = -1.0
    if not 0 < beta < np.inf:
        raise RedvizError(f"{name} has beta {parts[-1]!r}; give a positive number such as 0.1.")
    allowed = {
        key: value
        for key, value in options.items()
        if key in ("trust_remote_code", "allow_pickle", "max_length", "template")
    }
    policy, reference = (load_policy(part.strip(), device=device, dtype=dtype, **allowed) for part in parts[:2])
    same = policy.source.template_hash == reference.source.template_hash
    texts = "" if same else f" {policy.source.template_hash} {reference.source.template_hash}"
    both = f"{policy.source.fingerprint} {reference.source.fingerprint} {beta}{texts}"
    source = replace(
        policy.source,
        model=name,
        fingerprint=hashlib.sha256(both.encode()).hexdigest()[:32],
        heads=("log-ratio",),
        family="dpo",
    )
    return ImplicitReward(
        name, source=source, device=str(policy.device), max_length=policy.max_length,
        policy=policy, reference=reference, beta=beta, trained_length=policy.trained_length,
    )  # fmt: skip
