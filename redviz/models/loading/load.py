"""Load a reward model: embedded, from a local folder, or from the Hub; and refuse what would give meaningless scores."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any, TypeVar, cast

import torch

from redviz.errors import RedvizError
from redviz.models.families import dpo, logit, process, tokens
from redviz.models.families.family import RewardModule
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.implicit import ImplicitReward, load_implicit
from redviz.models.kinds.process import ProcessModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.kinds.token_rewards import TokenRewards
from redviz.models.kinds.token_rewards import tried as tried_tokens
from redviz.models.loading.files import fingerprint
from redviz.models.loading.found import Found, find, mix_of, module_of
from redviz.models.loading.precision import QUANTISED, in_bits, pick_dtype, saved_in
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
from redviz.models.reading.encode import template_hash
from redviz.models.reading.templates import use_template
from redviz.models.running.split import split, tried

Loaded = TypeVar("Loaded")

log = logging.getLogger("redviz")


def load_reward_model(
    name: str,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    head: str | int | None = None,
    max_length: int | None = None,
    quantization: str | None = None,
    device_map: Any = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    read: str = "model",
    template: str | None = None,
    torch_dtype: str | torch.dtype | None = None,
) -> RewardModel | ProcessModel | TokenRewards | ImplicitReward:
    """Load a causal sequence-classification reward model.

    Parameters
    ----------
    name
        ``"embedded:sentiment"``, a local folder, or a Hub id.
    device
        "auto" takes CUDA, else MPS, else the CPU; or "cpu", "cuda", "cuda:1", "mps".
    dtype
        "auto", "float32", "bfloat16" or "float16". "auto" is float32 on a CPU and for models under a billion parameters, else the
        checkpoint's own. The head always runs in float32. "8bit" and "4bit" are as ``quantization``. ``torch_dtype`` is accepted
        as the old name.
    revision
        A Hub revision (branch, tag or commit).
    head
        Which of several labels is the reward: an index, a label's name, or a difference such as ``"1-0"``; of a language model the
        logit of a token at the next generation prompt, ``"logit:0"``, or of one token less another, ``"logit:+|-"``.
        Of a process reward model how step scores make one score, ``"min"`` (the default), ``"product"``, ``"mean"`` or ``"last"``;
        ``"steps:+|-@ки"`` or ``"turns:+|-"`` reads a language model as one (:mod:`redviz.models.families.process`). Of a classifier
        of tokens the label whose logit is every token's reward; with two labels ``"tokens:1-0"``, else it is a process reward model.
    max_length
        Tokens to read at most; by default the model's context.
    quantization
        "8bit" or "4bit", with bitsandbytes installed: the linear layers of the trunk, on one device. A checkpoint that was saved
        in few bits is loaded in them without it.
    device_map
        Passed to Transformers, with accelerate installed.
    trust_remote_code, allow_pickle
        Off unless asked for: both run code that comes with the checkpoint.
    read
        "model" reads the score where the model's own forward does; "last" at the last token, which differs where the template ends
        with the pad token.
    template
        The text that the model was trained on (:mod:`redviz.models.reading.templates`): "own" (the tokenizer's), "plain" (prompt, then
        response, nothing else), "chatml", "alpaca", "alpaca-preamble", "vicuna", "vicuna-preamble", "hh", "qa", the path of a Jinja file,
        or a line with ``{prompt}`` and ``{response}`` in it. ``+eos`` at its end writes the tokenizer's EOS behind the response, and
        ``-bos`` leaves out what the tokenizer adds. By default what ``redviz.json`` beside the checkpoint says, else "own".

    Raises
    ------
    RedvizError
        One sentence with the remedy: no model there, unknown architecture, several labels, missing or newly initialised weights,
        pickled weights, an adapter without its base, a model that scores pairs only; a template that is none, or that this kind of
        model does not read.

    Examples
    --------
    >>> model = load_reward_model("embedded:sentiment", device="cpu")
    >>> model.source.dtype, model.source.device, model.source.heads
    ('float32', 'cpu', ('LABEL_0',))
    """
    if name.startswith(dpo.PREFIX):
        if head is not None or revision or read != "model":
            raise RedvizError(f"{name} is read from a policy and a reference; leave --head, --revision and --read out.")
        return load_implicit(
            name, device=device, dtype=quantization or torch_dtype or dtype, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle,
            max_length=max_length, template=template,
        )  # fmt: skip
    if read not in ("model", "last"):
        raise RedvizError(
            f'read is {read!r}; use "model" (where the model\'s own forward reads) or "last" (the last token).'
        )
    checkpoint = find(name, revision, head, trust_remote_code, allow_pickle)
    target, wanted = pick_device(device), torch_dtype or dtype
    if wanted in QUANTISED:
        quantization, wanted = quantization or str(wanted), "auto"
    kind = pick_dtype(wanted, target)
    bits, few = in_bits(checkpoint.config, quantization, target, name)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, **few}
    if bits and checkpoint.is_put_together and not (checkpoint.lora and saved_in(checkpoint.config)):
        raise RedvizError(
            f"{name} is put together while it is loaded, which needs whole numbers; leave {bits} out."
            if quantization
            else f"{name} is put together while it is loaded, and is saved in {bits}; give the model in whole numbers."
        )
    if device_map is not None:
        options["device_map"] = device_map
    own = any(checkpoint.given.glob("tokenizer*"))
    tokenizer = load_tokenizer(checkpoint.given if own else checkpoint.folder, name, trust_remote_code)
    if adapter := checkpoint.adapter:
        own_text = tokenizer.get_chat_template() if tokenizer.chat_template else adapter.template
        tokenizer.chat_template = adapter.ending(own_text) if own_text else None
    text = set_text(tokenizer, template, name, dict.fromkeys((checkpoint.given, checkpoint.folder)))
    if text and checkpoint.steps:
        process.check_text(checkpoint.steps.format, name)
    with building(name, target):
        module = module_of(checkpoint, tokenizer, kind, options, allow_pickle)
        if not bits:
            module = float32_if_small(module, wanted)
        if device_map is None and not bits:
            module = module.to(target)
        elif isinstance(module, RewardModule):
            module.join_trunk()
    make_ready(module)
    return _opened(checkpoint, module, tokenizer, head, max_length, revision, bits, read, text)


def with_template(model: Loaded, template: str) -> Loaded:
    """The same model reading another text: a copy that shares the weights, with a tokenizer and a source of its own.

    Parameters
    ----------
    model
        From :func:`load_reward_model` or :func:`redviz.load_policy`.
    template
        As :func:`load_reward_model` takes it; "own" is what the model reads now.

    Raises
    ------
    RedvizError
        Where the template is none, or the model reads a text of its own kind.
    """
    given: Any = model
    if isinstance(given, ImplicitReward):
        policy, reference = (with_template(part, template) for part in (given.policy, given.reference))
        source = replace(given.source, template=template, template_hash=policy.source.template_hash)
        return cast(Loaded, replace(given, policy=policy, reference=reference, source=source))
    if type(given) is FunctionModel:
        raise RedvizError(f"{given.name} is a function of text and has no template; leave --template out.")
    if isinstance(given, ProcessModel):
        process.check_text(given.format, given.name)
    tokenizer = copy.copy(given.tokenizer)
    use_template(tokenizer, template, given.name)
    source = replace(given.source, template=template, template_hash=template_hash(tokenizer))
    return cast(Loaded, replace(given, tokenizer=tokenizer, source=source))


def _opened(
    checkpoint: Found,
    module: Any,
    tokenizer: Any,
    head: str | int | None,
    max_length: int | None,
    revision: str | None,
    bits: str,
    read: str,
    text: str,
) -> RewardModel | ProcessModel | TokenRewards:
    """The model around a module: how it is read, and what identifies it."""
    name, adapter = checkpoint.name, checkpoint.adapter
    if checkpoint.family == "logit":
        tokenizer.chat_template = logit.ASK + tokenizer.chat_template
    read = "last" if adapter or checkpoint.family == "logit" else read
    labels = tuple(str(module.config.id2label[i]) for i in range(module.config.num_labels))
    context = context_length(module.config, tokenizer, max_length, name)
    trained = checkpoint.config.get("redviz_trained_length")
    inner = checkpoint.lora.folder if checkpoint.lora else checkpoint.given
    hashes = [fingerprint(folder) for folder in dict.fromkeys((checkpoint.given, inner, checkpoint.folder))]
    source = source_of(
        name,
        module,
        tokenizer,
        revision=revision,
        fingerprint=hashes[0] if len(hashes) == 1 else "".join(each[: 32 // len(hashes)] for each in hashes),
        heads=("score",) if checkpoint.steps else labels,
        bits=bits,
        head="" if head is None else str(head),
        read=read,
        family=checkpoint.family,
        template=text,
    )
    log.info("loaded %s (%s, %s)", name, source.dtype, source.device)
    if checkpoint.steps:
        return process.opened(checkpoint.steps, module, tokenizer, context, source, trained)
    of_tokens = checkpoint.family == tokens.NAME
    score_head, first = (tokens.head_of(module), False) if of_tokens else split(module)
    mix = mix_of(checkpoint, labels).to(next((module if score_head is None else score_head).parameters()).device)
    if of_tokens:
        return tried_tokens(
            TokenRewards(
                name, source=source, device=source.device, max_length=context, module=module, tokenizer=tokenizer,
                head=score_head, mix=mix, trained_length=trained,
            )
        )  # fmt: skip
    return tried(
        RewardModel(
            name,
            module,
            tokenizer,
            score_head,
            mix,
            context,
            source,
            trained_length=trained,
            read=read,
            first=first,
            appended=adapter.appended(checkpoint.config) if adapter else None,
            gate=getattr(module, "gate", None),
            header=getattr(module, "header", ()),
            pooled=getattr(module, "pooled", False),
            notices=(adapter.open_means,) if adapter and adapter.open_means else (),
        )
    )
