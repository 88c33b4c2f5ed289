"""Tiny random encoders whose head is no function of one hidden state, under the WordPiece tokenizer of :mod:`tiny_both_ways`."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import tiny_both_ways
import torch
import transformers
from transformers import AutoModelForSequenceClassification

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.load import load_reward_model
from redviz.records import Array, Encoding

SIZES = dict(
    hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128
)
DECODES = dict(d_model=48, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
               encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=128, decoder_start_token_id=2)  # fmt: skip
T5 = dict(d_model=48, num_layers=1, num_heads=4, d_ff=96, d_kv=12, decoder_start_token_id=0)
SMALL = dict(dim=48, n_layers=2, n_heads=4, hidden_dim=96, max_position_embeddings=128)
MODERN = {**SIZES, "local_attention": 16, "global_attn_every_n_layers": 2}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "DistilBert": ("DistilBert", SMALL),
    "ModernBert": ("ModernBert", MODERN),
    "ModernBert mean": ("ModernBert", {**MODERN, "classifier_pooling": "mean"}),
    "Albert": ("Albert", {**SIZES, "embedding_size": 32}),
    "Longformer": ("Longformer", {**SIZES, "attention_window": [16, 16], "type_vocab_size": 1}),
    "XLNet": ("XLNet", dict(d_model=48, n_layer=2, n_head=4, d_inner=96)),
    "Bart": ("Bart", DECODES),
    "T5": ("T5", T5),
    "EuroBert": ("EuroBert", {**SIZES, "num_key_value_heads": 2, "classifier_pooling": "mean"}),
    "MPNet": ("MPNet", SIZES),
    "BigBird": ("BigBird", {**SIZES, "block_size": 4, "num_random_blocks": 1}),
    "Funnel": ("Funnel", dict(d_model=48, n_head=4, d_head=12, d_inner=96, block_sizes=[1, 1], num_decoder_layers=1)),
    "FNet": ("FNet", {**SIZES, "type_vocab_size": 2}),
    "MobileBert": ("MobileBert", {**SIZES, "embedding_size": 48, "true_hidden_size": 48, "intra_bottleneck_size": 48}),
    "ConvBert": ("ConvBert", {**SIZES, "embedding_size": 48, "head_ratio": 2, "conv_kernel_size": 3}),
}


def save(folder: Path, kind: str) -> Path:
    """A random model whose scores of texts spread by about one unit, saved as a checkpoint folder."""
    architecture, options = KINDS[kind]
    tok = tiny_both_ways.tokenizer()
    own = dict(vocab_size=len(tok), num_labels=1, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2)
    config = getattr(transformers, f"{architecture}Config")(**options, **own, sep_token_id=3)
    torch.manual_seed(5)
    module = getattr(transformers, f"{architecture}ForSequenceClassification")(config).eval()
    tiny.draw_weights(module)
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


@cache
def checkpoint(kind: str) -> Path:
    """A saved model, made once per session. Read it, do not write into it: copy it first."""
    return save(Path(tempfile.mkdtemp(dir=tiny._FOLDER)), kind)


@cache
def model(kind: str) -> RewardModel:
    """The same model loaded by redviz on the CPU, once per session. Do not change it."""
    return load_reward_model(str(checkpoint(kind)), device="cpu")


def plain(kind: str) -> Any:
    """The same model as Transformers loads it; anew, for some keep a state between forwards."""
    return AutoModelForSequenceClassification.from_pretrained(checkpoint(kind), dtype=torch.float32).eval()


@torch.no_grad()
def own_score(module: Any, ids: Array, types: Array | None) -> float:
    """What Transformers returns for one unpadded text, with token types where the class takes them."""
    given = {"input_ids": torch.as_tensor(np.asarray(ids))[None]}
    count = getattr(module.config, "type_vocab_size", 2 if module.config.model_type == "xlnet" else 0)
    if types is not None and count > 1:
        given["token_type_ids"] = torch.as_tensor(np.asarray(types))[None]
    return float(module(**given).logits[0, 0])


def brute_prefixes(kind: str, encoding: Encoding) -> Array:
    """``P_0 .. P_T`` of a model loaded anew, from forwards of every cut and closed text, the longest first."""
    module, found = plain(kind), []
    for t in range(encoding.stop - encoding.start, -1, -1):
        cut = slice(encoding.start + t, encoding.stop)
        types = None if encoding.types is None else np.delete(encoding.types, cut)
        found.append(own_score(module, np.delete(encoding.ids, cut), types))
    return np.array(found[::-1])
