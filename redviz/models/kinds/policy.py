"""A loaded policy, and what it and its reference think of a response: log-probabilities and the KL between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import positions
from redviz.models.loading.checkpoint import (
    check_weights,
    pretrained,
    read_config,
    refuse_pickle,
    refuse_unknown,
)
from redviz.models.loading.files import fingerprint, resolve
from redviz.models.loading.lora import adapter_folder, base_of
from redviz.models.loading.precision import QUANTISED, in_bits, pick_dtype
from redviz.models.loading.shared import (
    building,
    context_length,
    float32_if_small,
    load_tokenizer,
    make_ready,
    pick_device,
    source_of,
)
from redviz.models.loading.stated import set_text
from redviz.models.reading.alignment import check_same_tokens
from redviz.models.reading.encode import encode
from redviz.models.reading.known_tokens import check_known
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.finite import finite
from redviz.models.running.micro_batches import micro_batches
from redviz.records import Array, Encoding, Example, LogProbs, Source

log = logging.getLogger("redviz")


@dataclass
class Policy:
    """A causal language model, made by :func:`load_policy`.

    Attributes
    ----------
    module, tokenizer
        The Transformers model and its fast tokenizer.
    max_length
        Context in tokens; longer responses are cut at their end.
    trained_length
        Lengths up to which the model was trained, where its card says so.
    forwards
        How many forward passes have run.
    """

    name: str
    module: Any
    tokenizer: Any
    max_length: int
    source: Source
    trained_length: int | None = None
    forwards: int = 0

    @property
    def trunk(self) -> Any:
        return self.module.base_model

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def encode(self, example: Example) -> Encoding:
        """Ids, span and offsets of one example under this policy's tokenizer, template and context."""
        try:
            encoding = encode(self.tokenizer, example, max_length=self.max_length, read="last")
            check_known(self.module, self.tokenizer, encoding.ids, "it")
        except RedvizError as error:
            raise RedvizError(f"{self.name}: {error}") from error
        if self.trained_length and len(encoding.ids) > self.trained_length:
            notice = f"This text has {len(encoding.ids)} tokens; {self.name} was trained on lengths up to {self.trained_length}."
            encoding = replace(encoding, notices=(*encoding.notices, notice))
        return encoding

    def run(self, **inputs: Any) -> Any:
        """One forward pass of the trunk; every pass goes through here and is counted."""
        self.forwards += 1
        return self.trunk(**inputs)

    def log_softmax(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of the token that follows each hidden state, in float32: ``[..., D] -> [..., V]``."""
        config = self.module.config.get_text_config()
        logits = self.module.get_output_embeddings()(hidden).float()  # [..., V]
        logits = (
            logits * (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
        )
        if cap := getattr(config, "final_logit_softcapping", None):
            logits = cap * torch.tanh(logits / cap)
        return logits.log_softmax(-1)


def load_policy(
    name: str,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    max_length: int | None = None,
    template: str | None = None,
) -> Policy:
    """Load a causal language model as a policy or as a reference.

    Parameters
    ----------
    name
        ``"embedded:writer"``, ``"embedded:writer-dpo"``, a local folder, or a Hub id.
    device, dtype, revision, trust_remote_code, allow_pickle, max_length, template
        As in :func:`redviz.load_reward_model`.

    Raises
    ------
    RedvizError
        One sentence with the remedy: no model there, no such template, a reward model, an adapter without its base, unknown
        architecture, missing or pickled weights, a model that looks ahead.
    """
    folder = resolve(name, revision, allow_pickle)
    if inner := adapter_folder(folder, name):
        raise RedvizError(
            f"{name} is a LoRA adapter of {base_of(inner, name)}, and policies are read whole; merge it (peft: merge_and_unload, "
            "then save_pretrained with the tokenizer) and give the merged folder."
        )
    config = read_config(folder, name)
    refuse_unknown(config, name, trust_remote_code)
    kinds = [kind for kind in config.get("architectures") or [] if kind.endswith("ForSequenceClassification")]
    if kinds:
        raise _is_reward_model(name, kinds[0])
    if not allow_pickle:
        refuse_pickle(folder, name)
    tokenizer = load_tokenizer(folder, name, trust_remote_code)
    text = set_text(tokenizer, template, name, (folder,))
    target = pick_device(device)
    asked, dtype = (str(dtype), "auto") if dtype in QUANTISED else ("", dtype)
    bits, few = in_bits(config, asked, target, name)
    options = {"trust_remote_code": trust_remote_code, **few}
    with building(name, target):
        kind = pick_dtype(dtype, target)
        module, report = pretrained(AutoModelForCausalLM, folder, name, kind, options, allow_pickle)
        if "score.weight" in report["unexpected_keys"]:
            raise _is_reward_model(name, "score.weight")
        check_weights(report, name, AutoModelForCausalLM)
        if not bits:
            module = float32_if_small(module, dtype).to(target)
    make_ready(module)
    weights = fingerprint(folder)
    source = source_of(
        name, module, tokenizer, revision=revision, fingerprint=weights, heads=(), bits=bits, template=text
    )
    context = context_length(module.config, tokenizer, max_length, name)
    policy = Policy(name, module, tokenizer, context, source, config.get("redviz_trained_length"))
    _check_forward(policy)
    log.info("loaded the policy %s (%s, %s)", name, source.dtype, source.device)
    return policy


def _is_reward_model(name: str, found: str) -> RedvizError:
    return RedvizError(
        f"{name} is a reward model ({found}) and gives no probabilities of tokens; give a causal language model as policy, "
        "such as embedded:writer."
    )


def _check_forward(policy: Policy) -> None:
    """Refuse a model that looks ahead, and one whose own logits are made in a way that :meth:`Policy.log_softmax` does not know."""
    check_known(policy.module, policy.tokenizer, policy.tokenizer("Review the film.")["input_ids"], policy.name)
    last = policy.module.config.get_text_config().vocab_size - 1
    ids = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]], device=policy.device).clamp(max=last)  # [2, 5]
    mask = torch.ones_like(ids)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask), "use_cache": False}
    with torch.inference_mode():
        ours = policy.log_softmax(policy.run(**inputs).last_hidden_state)  # [2, 5, V]
        policy.forwards += 1
        own = policy.module(**inputs).logits.float().log_softmax(-1)  # [2, 5, V]
    tolerance = 1e-3 if policy.source.dtype == "float32" else 0.25  # half precision rounds logits to eighths
    if float((own[0, :4] - own[1, :4]).abs().max()) > tolerance:
        raise RedvizError(
            f"{policy.name} looks at later tokens, as masked language models do, so it gives no probability of a next token; "
            "give a causal language model."
        )
    if float((own - ours).abs().max()) > tolerance:
        raise RedvizError(
            f"{policy.name} ({type(policy.module).__name__}) makes its logits in a way that redviz does not know; "
            "give another policy."
        )


def log_probs(policy: Policy, reference: Policy, encoding: Encoding, progress: Progress | None = None) -> LogProbs:
    """Score one response under a policy and its reference, teacher-forced: one forward pass of each.

    Parameters
    ----------
    policy, reference
        Two policies with one vocabulary; each reads the example as its own chat template writes it.
    encoding
        The example as the reward model reads it.
    progress
        Called with (tokens done, tokens) between pieces of logits; may raise to cancel.

    Returns
    -------
    LogProbs
        ``[T]`` float32 each, in the order of the reward model's tokens; ``closing`` where both templates close the response with
        the tokenizer's end-of-sequence token and nothing was cut.

    Raises
    ------
    RedvizError
        Where the tokens differ (:func:`check_same_tokens`), or the vocabularies.
    """
    own, other = policy.encode(encoding.example), reference.encode(encoding.example)
    names = (policy.name, reference.name)
    check_same_tokens(own, other, encoding, names)
    ends = not encoding.truncated and _end(policy, own) == _end(reference, other) != -1
    length = encoding.stop - encoding.start
    count = length + int(ends)
    with torch.inference_mode():
        states = _states(policy, own, count), _states(reference, other, count)  # [count, D] each
        wide = [m.module.get_output_embeddings().weight.shape[0] for m in (policy, reference)]
        if wide[0] != wide[1]:
            raise RedvizError(
                f"{names[0]} has {wide[0]} tokens and {names[1]} {wide[1]}, so the divergence between them is not defined; "
                "give a policy and the reference that it was trained from."
            )
        ids = torch.as_tensor(own.ids[own.start : own.start + count], device=policy.device)[:, None]  # [count, 1]

        def compare(piece: slice) -> Tensor:  # [3, columns]
            mine = policy.log_softmax(states[0][piece])  # [columns, V]
            theirs = reference.log_softmax(states[1][piece]).to(mine.device)  # [columns, V]
            taken = [x.gather(1, ids[piece])[:, 0] for x in (mine, theirs)]
            divergence = (theirs.exp() * (theirs - mine)).sum(-1).clamp(min=0)  # rounding may dip below the bound
            return torch.stack([*taken, divergence])

        found = _in_pieces(compare, count, policy, progress)  # [3, count]
    for model, numbers in ((policy, found[0]), (reference, found[1]), (policy, found[2])):
        finite(model.source, "the log-probability of a token", numbers)
    closing = (float(found[0, -1]), float(found[1, -1]), float(found[2, -1])) if ends else None
    return LogProbs(found[0, :length], found[1, :length], found[2, :length], closing, names)


def token_log_probs(
    policy: Policy, encoding: Encoding, *, closing: bool = False, progress: Progress | None = None
) -> Array:
    """Log-probabilities of the response's tokens under one policy, from its own encoding: ``[T]`` float32.

    With ``closing`` the end-of-turn token that follows is one more of them, ``[T+1]``.
    """
    count = encoding.stop - encoding.start + int(closing)
    with torch.inference_mode():
        states = _states(policy, encoding, count)  # [count, D]
        ids = torch.as_tensor(encoding.ids[encoding.start : encoding.start + count], device=policy.device)[:, None]

        def score(piece: slice) -> Tensor:  # [1, columns]
            return policy.log_softmax(states[piece]).gather(1, ids[piece]).T

        return finite(policy.source, "the log-probability of a token", _in_pieces(score, count, policy, progress)[0])


def closes(policy: Policy, encoding: Encoding) -> bool:
    """Whether this policy's template ends the response with its end-of-turn token."""
    return _end(policy, encoding) != -1


def _end(policy: Policy, encoding: Encoding) -> int:
    """The end-of-turn id where it follows the response, else -1.

    It is the tokenizer's EOS, or another special token: chat models end a turn with one of their own and keep EOS for the text.
    """
    after = encoding.ids[encoding.stop : encoding.stop + 1]
    if not len(after):
        return -1
    token = policy.tokenizer.added_tokens_decoder.get(int(after[0]))
    special = token is not None and token.special
    return int(after[0]) if special or after[0] == policy.tokenizer.eos_token_id else -1


def _states(policy: Policy, encoding: Encoding, count: int) -> Tensor:
    """Hidden states before each of ``count`` tokens from the response's first on: ``[count, D]``."""
    ids = torch.as_tensor(encoding.ids[None, : encoding.start + count], device=policy.device)  # [1, n + count]
    mask = torch.ones_like(ids)
    hidden = policy.run(
        input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
    ).last_hidden_state  # [1, n + count, D]
    states: Tensor = hidden[0, encoding.start - 1 : -1]  # column j scores the token at column j + 1
    return states


def _in_pieces(work: Callable[[slice], Tensor], count: int, policy: Policy, progress: Progress | None) -> Array:
    """Rows of numbers ``[k, count]`` float32, made a few columns at a time: logits of a whole response can outgrow the memory."""
    vocabulary = policy.module.get_output_embeddings().weight.shape[0]
    pieces = micro_batches(
        range(count),
        lambda _: at_once("logits", policy.device) // vocabulary,
        lambda columns: work(slice(columns[0], columns[-1] + 1)).cpu().numpy(),
        lambda _: "Memory ran out on the logits of a single token; use --dtype bfloat16 or another --device.",
        progress,
    )
    return np.concatenate([numbers for _, numbers in pieces], axis=1)
