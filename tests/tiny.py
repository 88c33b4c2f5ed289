"""Tiny random reward models and tokenizers, saved to disk, for tests that know the right answer by brute force."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.load import load_reward_model
from redviz.records import Array, Encoding

transformers.utils.logging.disable_progress_bar()  # else it lands in what a test of the command line captures

TEXTS = [
    "The film opens on a quiet street and the lead is superb , moving and funny .",
    "A dull , tedious mess . I did not like it , but the photography is glorious .",
    "Write a short review of the film you saw last night, please. What did you think?",
]

CLOSED = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TRIMS = CLOSED.replace("{{ m['content'] }}", "{{ m['content'] | trim }}")
THINKS = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|end|>\n{% endfor %}"
)
OPEN = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
ENDS = CLOSED.replace("<|end|>\n", "<|end|>")  # the last token is the closing one: the pad = eos trap needs that
TEMPLATES = {"closed": CLOSED, "trims": TRIMS, "thinks": THINKS, "open": OPEN, "none": None, "ends": ENDS}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen3": {},
    "Mistral": {"sliding_window": 12},
    "GPT2": {},
    "Gemma2": {"query_pre_attn_scalar": 12, "attn_logit_softcapping": 2.0, "head_dim": 12, "sliding_window": 12},
    "Qwen2": {},
    "Gemma": {"head_dim": 12},
    "Gemma3Text": {"head_dim": 12, "query_pre_attn_scalar": 12, "sliding_window": 12},
    "Phi3": {},
    "OPT": {"ffn_dim": 96, "word_embed_proj_dim": 48},
    "Phi": {},
    "GPTNeoX": {},
    "GptOss": {
        "head_dim": 12,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "sliding_window": 12,
        "rope_scaling": None,
    },
}


def tokenizer(template: str = "closed", pad: str = "<|pad|>") -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of a few hundred tokens with one of the templates above."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=pad,
        eos_token="<|end|>",
        extra_special_tokens=specials[2:],
        chat_template=TEMPLATES[template],
        clean_up_tokenization_spaces=False,
    )


def config(architecture: str, tok: PreTrainedTokenizerFast, labels: int = 1, **options: Any) -> Any:
    """A three-layer config of one architecture, vocabulary and pad id of the tokenizer."""
    shared = {"vocab_size": len(tok), "num_labels": labels, "pad_token_id": tok.pad_token_id}
    shared |= {"bos_token_id": None, "eos_token_id": tok.eos_token_id}
    if architecture == "GPT2":
        return transformers.GPT2Config(n_embd=48, n_layer=3, n_head=4, n_positions=512, **shared, **options)
    sizes = dict(
        hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
    )
    sizes |= {"max_position_embeddings": 512}
    return getattr(transformers, f"{architecture}Config")(
        **{**sizes, **ARCHITECTURES.get(architecture, {}), **shared, **options}
    )


def draw_weights(module: torch.nn.Module, deviation: float = 0.2) -> None:
    """Draw every matrix of a module anew, so large that what it says of two texts differs by more than rounding."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, deviation)


def save(
    folder: Path,
    architecture: str = "Llama",
    template: str = "closed",
    labels: int = 1,
    pad: str = "<|pad|>",
    **options: Any,
) -> Path:
    """A random model whose prefix scores spread by about one unit, saved as a checkpoint folder."""
    tok = tokenizer(template, pad)
    torch.manual_seed(1)
    module = getattr(transformers, f"{architecture}ForSequenceClassification")(
        config(architecture, tok, labels, **options)
    ).eval()
    draw_weights(module, 0.25)
    with torch.no_grad():
        ids = torch.randint(5, len(tok), (1, 64))
        spread = module.score(module.base_model(ids).last_hidden_state)[0, :, 0].std()
        module.score.weight /= spread
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


_FOLDER = Path(tempfile.mkdtemp(prefix="redviz-tiny-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


@cache
def checkpoint(architecture: str = "Llama", template: str = "closed", **options: Any) -> Path:
    """A saved model, made once per session. Read it, do not write into it: copy it first."""
    return save(Path(tempfile.mkdtemp(dir=_FOLDER)), architecture, template, **options)


@cache
def model(architecture: str = "Llama", template: str = "closed", **options: Any) -> RewardModel:
    """The same model loaded on the CPU, once per session. Do not change it."""
    return load_reward_model(str(checkpoint(architecture, template, **options)), device="cpu")


@contextmanager
def native(loaded: RewardModel, kernel: str = "eager") -> Iterator[Any]:
    """The Transformers model with its own attention, untouched by redviz."""
    ours = loaded.module.config._attn_implementation
    loaded.module.set_attn_implementation(kernel)
    try:
        yield loaded.module
    finally:
        loaded.module.set_attn_implementation(ours)


def own_score(loaded: RewardModel, ids: Sequence[int] | Array) -> float:
    """What Transformers returns for these ids alone, unpadded: own attention, own positions, own head, own pooling."""
    with native(loaded) as module, torch.inference_mode():
        return float(module(torch.as_tensor(np.asarray(ids))[None]).logits[0, 0])


def brute_prefixes(loaded: RewardModel, encoding: Encoding) -> Array:
    """The prefix scores from T + 1 separate forwards of the truncated ids: ``[T+1]``."""
    return np.array([own_score(loaded, encoding.ids[:c]) for c in range(encoding.start, encoding.stop + 1)])


def eager_attention(loaded: RewardModel, encoding: Encoding) -> Array:
    """Every attention weight, from Transformers' eager kernel: ``[layer, head, L, L]``."""
    with native(loaded) as module, torch.inference_mode():
        out = module.base_model(torch.as_tensor(encoding.ids[None]), output_attentions=True)
    return torch.stack(out.attentions)[:, 0].numpy()
