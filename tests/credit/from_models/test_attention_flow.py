"""Rollout and value-weighted norms against the eager kernel's full maps, multiplied out by hand."""

from functools import cache

import numpy as np
import pytest
import tiny
import torch

from redviz.credit.from_models.attention import attention_norm, rollout
from redviz.errors import RedvizError
from redviz.models.running import attention, attention_flow
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example

ARCHITECTURES = tuple(tiny.ARCHITECTURES)
EXAMPLE = Example(
    " ".join(["The film opens on a quiet street"] * 3), "The lead is superb, funny and moving. But it drags 👍"
)
METHODS = (rollout, attention_norm)


def near(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@cache
def known(architecture, **options):
    """A model, its forward pass, and every attention weight from Transformers' eager kernel: ``[layer, head, L, L]``."""
    model = tiny.model(architecture, **options)
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    eager = tiny.eager_attention(model, seen.encoding)[..., : len(seen.encoding.ids)]
    assert (
        seen.encoding.start > 12 and seen.encoding.read > seen.encoding.stop - 1
    )  # beyond the windows; closing tokens
    return model, seen, eager


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of at most seven rows; the number of rows of every block that was computed."""
    blocks, rows = [], attention.attention_rows

    def counted(query, key, mask, columns, *more):
        blocks.append(columns.shape[1])
        return rows(query, key, mask, columns, *more)

    length = max(len(known(architecture)[1].encoding.ids) for architecture in ARCHITECTURES)  # observed before counting
    monkeypatch.setattr(attention, "attention_rows", counted)
    monkeypatch.setitem(AT_ONCE["weights"], "cpu", 7 * 4 * length)
    return blocks


def shared(seen, weights):
    own = weights[seen.encoding.start : seen.encoding.stop].astype(np.float64)
    return seen.score * own / own.sum()


def multiplied_out(eager, residual):
    product = np.eye(eager.shape[-1])
    for layer in eager.mean(1):
        product = ((1 - residual) * layer + residual * np.eye(len(layer))) @ product
    return product


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rollout_is_the_product_of_the_maps(architecture, small_blocks):
    model, seen, eager = known(architecture)
    for row, column, residual in (("response", seen.encoding.stop - 1, 0.5), ("pooling", seen.encoding.read, 0.2)):
        credit = rollout(seen, model, row=row, residual=residual)
        expected = shared(seen, multiplied_out(eager, residual)[column])
        near(credit.values, expected)
        assert credit.values.dtype == np.float32 and credit.meta == {"layers": 3}
        assert abs(expected).max() > 1e-3  # the tolerance means something
    assert len(small_blocks) > 6 and max(small_blocks) == 7


@cache
def value_norms(architecture, layer):
    """``||sum_h alpha_hij W_O^h v_hj||`` from hooked value projections and the weights themselves: ``[L, L]``."""
    model, seen, eager = known(architecture)
    stack = {"GPT2": "h", "OPT": "decoder.layers"}.get(architecture, "layers")
    block = model.trunk.get_submodule(f"{stack}.{layer}")
    own = next(part for name, part in block.named_children() if name in ("self_attn", "attn", "attention"))
    maps = dict(own.named_children())
    read = maps.get("v_proj") or maps.get("c_attn") or maps.get("qkv_proj") or maps["query_key_value"]
    made = []
    hook = read.register_forward_hook(lambda _m, _i, out: made.append(out[0].numpy()))  # [L, ...]
    with tiny.native(model) as module, torch.inference_mode():
        module.base_model(torch.as_tensor(seen.encoding.ids[None]))
    hook.remove()
    heads, length = eager.shape[1], eager.shape[2]
    out, value = maps.get("o_proj") or maps.get("out_proj") or maps.get("dense") or maps["c_proj"], made[0]
    if architecture == "GPT2":
        value = value[:, -48:]  # queries, keys, values, each with all its heads
    if architecture == "Phi3":
        value = value[:, -24:]  # the same, with two heads of keys and of values
    if architecture == "GPTNeoX":
        value = value.reshape(length, heads, 3, -1)[:, :, 2].reshape(length, -1)  # head by head
    groups = 2 if read.__class__.__name__ == "Linear" and architecture not in ("OPT", "GPTNeoX") else 4
    value = np.repeat(value.reshape(length, groups, -1), heads // groups, 1)  # [L, H, d]
    weight = out.weight.numpy() if architecture == "GPT2" else out.weight.numpy().T  # [H * d, D]
    weight = weight.reshape(heads, -1, weight.shape[1])  # [H, d, D]
    return np.linalg.norm(np.einsum("hij,jhd,hdk->ijk", eager[layer], value, weight), axis=-1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_norm_is_the_norm_of_what_the_heads_carry(architecture):
    model, seen, eager = known(architecture)
    for layer, row, column in ((-1, "response", seen.encoding.stop - 1), (0, "pooling", seen.encoding.read)):
        credit = attention_norm(seen, model, layer=layer, row=row)
        near(credit.values, shared(seen, value_norms(architecture, layer % 3)[column]))
        alone = shared(seen, eager[layer].mean(0)[column])
        assert abs(credit.values - alone).max() > 1e-3  # not the attention itself
    near(attention_norm(seen, model, layer=-2).values, attention_norm(seen, model, layer=1).values, 0)


def test_attention_norm_with_values_of_another_width():
    """DeepSeek's latent attention: 12 numbers per value, 16 per query."""
    sizes = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12}
    experts = {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 3,
    }
    model, seen, eager = known("DeepseekV3", num_key_value_heads=4, **sizes, **experts)
    near(rollout(seen, model).values, shared(seen, multiplied_out(eager, 0.5)[seen.encoding.stop - 1]))
    assert attention_norm(seen, model).residual == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_they_sum_to_the_score_and_share_its_sign(method):
    model, seen, _ = known("Qwen3")
    credit = method(seen, model)
    assert (credit.total, credit.reference, credit.closing) == (seen.score, 0.0, 0.0)
    assert credit.residual == pytest.approx(0, abs=1e-6)
    assert (credit.values * np.sign(seen.score) >= 0).all() and len(set(credit.values)) > 5


def test_rollout_between_its_ends():
    model, seen, eager = known("Llama")
    sparse = np.zeros(len(eager[0, 0]))
    sparse[seen.encoding.stop - 1] = 1
    near(rollout(seen, model, residual=1.0).values, shared(seen, sparse), 1e-7)
    plain = np.linalg.multi_dot([eager[2].mean(0), eager[1].mean(0), eager[0].mean(0)])
    near(rollout(seen, model, residual=0.0).values, shared(seen, plain[seen.encoding.stop - 1]))


def test_one_forward_and_only_the_rows_that_are_reached(small_blocks):
    model, seen, _ = known("Mistral")
    before = model.forwards
    rollout(seen, model)
    assert model.forwards == before + 1
    # the last layer is asked for one row, the one before it for the window of that row, and the first for two windows
    assert small_blocks == [1, 7, 5, 7, 7, 7, 2]
    attention_norm(seen, model)
    assert model.forwards == before + 2


def test_values_are_kept_of_one_layer_only():
    model, seen, _ = known("Llama")
    every, last = attention_flow.kept_pass(model, seen.encoding), attention_flow.kept_pass(model, seen.encoding, -1)
    assert [layer.value.numel() for layer in every.layers] == [0, 0, 0]
    assert len(last.layers) == 1 and last.layers[0].module is model.trunk.layers[2].self_attn
    assert last.layers[0].value.shape == (1, 2, len(seen.encoding.ids), 12)


def test_progress_counts_layers():
    model, seen, _ = known("Llama")
    for method, total in ((rollout, 3), (attention_norm, 1)):
        calls = []
        method(seen, model, progress=lambda *pair, calls=calls: calls.append(pair))
        assert calls[0] == (0, total) and calls[-1] == (total, total) and calls == sorted(calls)


def test_blocks_halve_when_memory_runs_out(monkeypatch):
    model, seen, _ = known("Llama")
    expected = rollout(seen, model).values
    rows = attention.attention_rows

    def cramped(query, key, mask, columns, *more, most=3):
        if columns.shape[1] > most:
            raise torch.OutOfMemoryError
        return rows(query, key, mask, columns, *more)

    monkeypatch.setattr(attention, "attention_rows", cramped)
    near(rollout(seen, model).values, expected, 1e-6)
    monkeypatch.setattr(attention, "attention_rows", lambda *more: cramped(*more, most=0))
    with pytest.raises(RedvizError, match="single row"):
        rollout(seen, model)


def clean(model):
    return attention._kept.get() is None and not any(part._forward_pre_hooks for part in model.trunk.modules())


@pytest.mark.parametrize("method", METHODS)
def test_nothing_stays_open_after_an_exception(method, monkeypatch):
    model, seen, _ = known("GPT2")
    method(seen, model)
    assert clean(model)

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method(seen, model, progress=cancel)
    assert clean(model)
    monkeypatch.setattr(
        model.trunk.h[1].mlp, "forward", cancel
    )  # the middle of the pass: captures and hooks are in place
    with pytest.raises(KeyboardInterrupt):
        method(seen, model)
    assert clean(model)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", ["Bloom", "Falcon"])
def test_a_model_that_shows_no_attention(method, architecture):
    model = tiny.model(architecture)
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    with pytest.raises(RedvizError, match="shows no attention weights"):
        method(seen, model)


def test_a_model_with_other_layers_than_attention_and_a_gate():
    linear = {f"linear_{kind}_head_dim": 8 for kind in ("key", "value")} | {"linear_num_key_heads": 2}
    experts = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
    sizes = {"head_dim": 12, "linear_num_value_heads": 4, "shared_expert_intermediate_size": 16}
    model = tiny.model("Qwen3Next", full_attention_interval=2, **linear, **experts, **sizes)
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    with pytest.raises(RedvizError, match="in 1 of its 3 layers"):
        rollout(seen, model)
    with pytest.raises(RedvizError, match="Qwen3NextAttention changes the heads' output"):
        attention_norm(seen, model, layer=1)


def test_a_projection_that_is_not_known(monkeypatch):
    model, seen, _ = known("Llama")
    monkeypatch.setattr(attention_flow, "PROJECTIONS", ("out_proj",))
    with pytest.raises(RedvizError, match=r"LlamaAttention has no output projection that redviz knows \(out_proj\)"):
        attention_norm(seen, model)
    assert clean(model)


def test_a_pooler_of_the_same_name_is_not_the_projection(monkeypatch):
    model, seen, _ = known("Llama")
    expected, norm = attention_norm(seen, model).values, model.trunk.norm
    monkeypatch.setitem(norm._modules, "dense", torch.nn.Linear(48, 48))
    hook = norm.register_forward_hook(lambda _module, _inputs, out: norm.dense(out[:, -1]) * 0 + out)  # [1, 48]
    try:
        near(attention_norm(seen, model).values, expected, 1e-7)
    finally:
        hook.remove()


def test_a_small_value_is_not_lost_beside_the_bias():
    torch.manual_seed(0)
    projection = torch.nn.Linear(8, 8).bfloat16().requires_grad_(False)
    projection.bias.fill_(1.0)
    parts = 1e-4 * torch.randn(5, 8)
    exact = parts @ projection.weight.float().T
    error = attention_flow._projected(projection, parts, torch.bfloat16) - exact
    assert (error.norm(dim=-1) < 0.05 * exact.norm(dim=-1)).all()
    assert (attention_flow._projected(projection, torch.zeros(1, 8), torch.bfloat16) == 0).all()


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (rollout, {"residual": 1.5}, "from 0 to 1"),
        (rollout, {"row": "last"}, "response, pooling"),
        (attention_norm, {"row": "last"}, "response, pooling"),
        (attention_norm, {"layer": 3}, "layers 0 to 2"),
        (attention_norm, {"layer": -4}, "layers 0 to 2"),
    ],
)
def test_options_that_make_no_sense(method, options, message):
    model, seen, _ = known("Llama")
    with pytest.raises(RedvizError, match=message):
        method(seen, model, **options)
