"""Train the tokenizer and ``embedded:writer``, a small causal language model that writes film reviews on request.

    python -m training.train_writer --data DATA --out WRITER

``texts.py`` says where to get the data. The held-out reviews, the choosing sentences and SST dev are seen neither by
the tokenizer nor by the model. ``train_sentiment.py`` starts from the trunk trained here.
"""

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from training.texts import SEED, Review, Tree, read_reviews, read_trees, split_reviews, split_trees, vary, vary_review
from training.wordings import Message, request

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, END = 0, 1
LENGTH = 2048
Model = TypeVar("Model", bound=nn.Module)
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('Roles are system, user and assistant, not ' + message['role'] + '.') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def build_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: all 256 bytes are in its alphabet, so every text comes back as it went in."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, min_frequency=3, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[PAD],
        eos_token=SPECIAL[END],
        additional_special_tokens=list(SPECIAL[2:]),
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def build_config(vocabulary: int, hidden: int, layers: int) -> Qwen3Config:
    """The trunk that both models share."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=int(hidden * 8 / 3) // 32 * 32,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        head_dim=32,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        eos_token_id=END,
        bos_token_id=None,
        use_cache=True,
    )


def prompt_ids(tokenizer: PreTrainedTokenizerFast, messages: list[Message]) -> list[int]:
    """The messages and the header of the assistant's turn."""
    turns = "".join(f"<|{message['role']}|>{message['content']}<|end|>" for message in messages)
    return list(tokenizer.encode(turns + "<|assistant|>", add_special_tokens=False))


def add_dropout(model: PreTrainedModel, dropout: float, word_dropout: float) -> None:
    """Drop whole words at the embedding and features after every block's two halves, while the model trains."""

    def words(module: nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        keep = (torch.rand(output.shape[:2]) >= word_dropout) | (args[0] < len(SPECIAL))  # [batch, token]
        return nn.functional.dropout(output * keep[..., None], dropout)

    def features(module: nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(output, dropout) if module.training else output

    model.get_input_embeddings().register_forward_hook(words)
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(features)
        layer.mlp.down_proj.register_forward_hook(features)


class Average(Generic[Model]):
    """An exponential moving average of a model's weights."""

    def __init__(self, model: Model, decay: float) -> None:
        self.model, self.decay, self.steps = copy.deepcopy(model), decay, 0
        self.model.eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for mean, value in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def optimizer(model: nn.Module, decay: float) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def set_rate(optimizer: torch.optim.Optimizer, step: int, steps: int, peak: float, warmup: int = 100) -> None:
    """Linear warm-up, then a cosine down to a fiftieth of the peak."""
    rate = peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = rate


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights in float16, tokenizer and config; the config says up to which length the model was trained."""
    model = copy.deepcopy(model).half()
    model.config.redviz_trained_length = LENGTH
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n")


Item = tuple[list[int], list[int]]  # prompt, response


def sentence_item(tokenizer: PreTrainedTokenizerFast, tree: Tree, notes: Sequence[str], rng: random.Random) -> Item:
    mood = tree.grade > 2 if tree.grade != 2 and rng.random() < 0.4 else None
    response = tokenizer.encode(vary(tree.words, rng)[0], add_special_tokens=False)
    return prompt_ids(tokenizer, request(rng, notes, mood))[-160:], [*response[:159], END]


def review_item(
    tokenizer: PreTrainedTokenizerFast, review: Review, notes: Sequence[str], rng: random.Random, length: int
) -> Item:
    """A long review, or for a short length a part of it that starts with a sentence; END only where the review ends."""
    prompt = prompt_ids(tokenizer, request(rng, notes, review.positive if rng.random() < 0.4 else None))[-length // 2 :]
    text = vary_review(review.text, rng)
    response = [*tokenizer.encode(text, add_special_tokens=False), END]
    room = length - len(prompt)
    if length < LENGTH and len(response) > room and rng.random() < 0.8:
        stops = [i + 1 for i, token in enumerate(tokenizer.convert_ids_to_tokens(response)) if token in ".!?"]
        starts = [i for i in stops if i < len(response) - 40]
        if starts:
            response = response[rng.choice(starts) :]
    return prompt, response[:room]


def lm_loss(model: Qwen3ForCausalLM, items: Sequence[Item], rows: int, width: int) -> tuple[torch.Tensor, int]:
    """Mean cross-entropy of the responses' tokens, and how many items fitted into the rows.

    Several items share a row and do not see each other. Rows keep one shape: a new one means new memory and kernels.
    """
    ids = torch.full((rows, width), PAD)  # [row, token]
    place = torch.zeros_like(ids)  # [row, token]: position within the item
    owner = torch.full_like(ids, -1)  # [row, token]: which item of the row
    target = torch.full_like(ids, -100)  # [row, token]: the token that comes next
    row, used, fitted, shared = 0, 0, 0, False
    for prompt, response in items:
        size = len(prompt) + len(response)
        if used + size > width:
            row, used = row + 1, 0
        if row == rows:
            break
        shared |= used > 0
        ids[row, used : used + size] = torch.tensor(prompt + response)
        place[row, used : used + size] = torch.arange(size)
        owner[row, used : used + size] = fitted
        target[row, used + len(prompt) - 1 : used + size - 1] = torch.tensor(response)
        used, fitted = used + size, fitted + 1
    mask = None  # one item a row, padded on the right: plain causal attention
    if shared:
        mask = (owner[:, :, None] == owner[:, None, :]) & torch.ones(width, width, dtype=torch.bool).tril()
        mask = mask[:, None]  # [row, 1, query, key]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, attention_mask=mask, position_ids=place, use_cache=False).last_hidden_state
        read = (target != -100).nonzero()  # [read, (row, token)]
        read = read[: max(len(read) // 512 * 512, min(len(read), 512))]
        logits = model.lm_head(hidden[tuple(read.T)])  # [read, vocabulary]
    with torch.autocast("cpu", enabled=False):  # in bfloat16: half the memory traffic of the widest tensor
        return nn.functional.cross_entropy(logits, target[tuple(read.T)]), fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst/ and movies/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the writer to")
    parser.add_argument("--start", type=Path, help="go on from this writer instead of a new one")
    parser.add_argument("--steps", type=int, default=4000, help="steps of the learning rate's schedule")
    parser.add_argument("--stop", type=int, help="stop after this many steps, before the schedule ends")
    parser.add_argument("--vocabulary", type=int, default=5120)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--word-dropout", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)

    trees, choosing = split_trees(read_trees(args.data / "sst/train.txt"))
    reviews, choosing_reviews, _ = split_reviews(read_reviews(args.data / "movies/train.jsonl"))
    texts = [vary(tree.words, rng)[0] for tree in trees for _ in range(4)] + [vary_review(r.text, rng) for r in reviews]
    tokenizer = build_tokenizer(texts, args.vocabulary)
    notes = [vary(tree.words, rng)[0] for tree in trees]
    model = Qwen3ForCausalLM(build_config(len(tokenizer), args.hidden, args.layers))
    if args.start:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.start)
        model = Qwen3ForCausalLM.from_pretrained(args.start, dtype=torch.float32)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.8, top_p=0.95, max_new_tokens=128, eos_token_id=END, pad_token_id=PAD
    )
    average = Average(model, args.average)
    add_dropout(model, args.dropout, args.word_dropout)
    adam = optimizer(model, args.weight_decay)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)

    fixed = random.Random(SEED)
    check = [sentence_item(tokenizer, tree, notes, fixed) for tree in choosing[:100]]
    check_long = [review_item(tokenizer, review, notes, fixed, 320) for review in choosing_reviews[:12]]
    start = time.time()
    for step in range(args.stop or args.steps):
        set_rate(adam, step, args.steps, args.rate)
        kind = rng.random()
        few = rng.sample(notes, 20)
        rows, width = (1, LENGTH) if kind >= 0.92 else (6, 320)
        if kind < 0.45:
            items = [sentence_item(tokenizer, tree, few, rng) for tree in rng.sample(trees, 60)]
        elif kind < 0.92:
            items = [review_item(tokenizer, review, few, rng, width) for review in rng.sample(reviews, rows)]
        else:
            items = [review_item(tokenizer, review, few, rng, LENGTH) for review in rng.sample(reviews, 1)]
        model.train()
        loss, _ = lm_loss(model, items, rows, width)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        average.update(model)
        if (step + 1) % 250 == 0 or step + 1 == (args.stop or args.steps):
            with torch.inference_mode():
                short = lm_loss(average.model, check, 12, 320)[0].item()
                long = lm_loss(average.model, check_long, 12, 320)[0].item()
            save(average.model, tokenizer, args.out)
            spent = time.time() - start
            print(f"step {step + 1} loss {loss.item():.3f} choosing {short:.3f} {long:.3f} {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
