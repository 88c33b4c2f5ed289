"""Tiny random reward models that look both ways, with a WordPiece tokenizer that encodes pairs; right answers by brute force."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.load import load_reward_model
from redviz.records import Array, Encoding

DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Bert": {},
    "Electra": {"embedding_size": 24},
    "DebertaV2": {**DEBERTA, "pooler_hidden_size": 48},
    "Roberta": {"type_vocab_size": 1, "max_position_embeddings": 130},
}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SHOWS_ATTENTION = ("Bert", "Electra", "Roberta")


def tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer: ``[CLS] a [SEP] b [SEP]``, b and its [SEP] of segment 1."""
    words = sorted({word for text in tiny.TEXTS for word in re.findall(r"[a-z]+", text.lower())})
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(f"##{c}" for c in letters), "##ed", "##ing", "##er", *".,!?:'-0123456789", *words[::2]]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*SPECIALS, *pieces]))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def save(folder: Path, architecture: str, template: str | None = None, labels: int = 1, **options: Any) -> Path:
    """A random model whose scores of prefixes spread by about one unit, saved as a checkpoint folder."""
    tok = tokenizer()
    tok.chat_template = template
    sizes = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4)
    sizes |= {"max_position_embeddings": 128, "vocab_size": len(tok), "pad_token_id": 0, "num_labels": labels}
    sizes |= {"bos_token_id": None, "eos_token_id": None}
    config = getattr(transformers, f"{architecture}Config")(
        **{**sizes, **ARCHITECTURES.get(architecture, {}), **options}
    )
    torch.manual_seed(3)
    module = getattr(transformers, f"{architecture}ForSequenceClassification")(config).eval()
    tiny.draw_weights(module)
    with torch.no_grad():
        ids = torch.randint(5, len(tok), (32, 24))
        last = [part for part in module.modules() if isinstance(part, torch.nn.Linear) and part.out_features == labels][
            -1
        ]
        last.weight /= module(ids).logits[:, 0].std()
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


@cache
def checkpoint(architecture: str, template: str | None = None, **options: Any) -> Path:
    """A saved model, made once per session. Read it, do not write into it: copy it first."""
    return save(Path(tempfile.mkdtemp(dir=tiny._FOLDER)), architecture, template, **options)


@cache
def model(architecture: str, template: str | None = None, **options: Any) -> RewardModel:
    """The same model loaded on the CPU, once per session. Do not change it."""
    return load_reward_model(str(checkpoint(architecture, template, **options)), device="cpu")


def own_score(loaded: RewardModel, ids: Array, types: Array | None = None, **inputs: Any) -> float:
    """What Transformers returns for one unpadded text: own attention, own head, own pooling."""
    given: dict[str, Any] = {} if ids is None else {"input_ids": torch.as_tensor(np.asarray(ids))[None]}
    if types is not None and loaded.module.config.type_vocab_size > 1:
        given["token_type_ids"] = torch.as_tensor(np.asarray(types))[None]
    with tiny.native(loaded, "eager") as module, torch.inference_mode():
        return float(module(**given, **inputs).logits[0].float() @ loaded.mix)


def brute_prefixes(loaded: RewardModel, encoding: Encoding) -> Array:
    """``P_0 .. P_T`` from T + 1 separate forwards of the cut and closed text."""
    found = []
    for t in range(encoding.stop - encoding.start + 1):
        cut = slice(encoding.start + t, encoding.stop)
        types = None if encoding.types is None else np.delete(encoding.types, cut)
        found.append(own_score(loaded, np.delete(encoding.ids, cut), types))
    return np.array(found)


def embedded(loaded: RewardModel, encoding: Encoding) -> torch.Tensor:
    """The whole text as embeddings, ``[1, L, D]``."""
    with torch.no_grad():
        found: torch.Tensor = loaded.module.get_input_embeddings()(torch.as_tensor(encoding.ids)[None])
    return found


def own_score_of(loaded: RewardModel, encoding: Encoding, whole: torch.Tensor) -> torch.Tensor:
    """Transformers' own score of a text given as embeddings, with gradients: ``[B]``."""
    given = {"inputs_embeds": whole}
    if loaded.module.config.type_vocab_size > 1:
        given["token_type_ids"] = torch.as_tensor(encoding.types).expand(len(whole), -1)
    scores: torch.Tensor = loaded.module(**given).logits[:, 0]
    return scores
