"""On CUDA: the same figures as on the CPU, and memory that comes back. Skipped where there is no GPU (tests/conftest.py)."""

import gc

import numpy as np
import pytest
import tiny
import tiny_lm
import torch

from redviz.analysis import analyze
from redviz.batches import analyze_batch
from redviz.credit.recipes import METHODS as TABLE
from redviz.models.kinds.policy import load_policy
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import attention_matrix

pytestmark = pytest.mark.gpu

NAMES = [
    n for n, i in TABLE.items() if i.needs in ("observation", "attention", "model") and n not in ("deeplift", "lime")
]
METHODS = {name: {"steps": 16} if name == "ig" else {} for name in NAMES}
PROMPT = " ".join(["The film opens on a quiet street"] * 3)
RESPONSES = ["The lead is superb, funny and moving 👍.", "A dull mess", "superb " * 30]
ARCHITECTURES = ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2", "GptOss"]


@pytest.fixture(autouse=True)
def exact():
    """Float32 is float32: no TensorFloat-32 in matrix products."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 * abs(wanted).max())


def test_auto_takes_cuda():
    model = load_reward_model(str(tiny.checkpoint()))
    assert model.device.type == "cuda" and model.source.device.startswith("cuda")
    assert model.dtype == torch.float32  # a small model
    assert model.mix.device.type == "cuda"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_and_credits_equal_the_cpus(architecture):
    model = load_reward_model(str(tiny.checkpoint(architecture)), device="cuda", dtype="float32")
    examples = [{"prompt": PROMPT, "response": response} for response in RESPONSES]
    pairs = zip(
        analyze_batch(model, examples, METHODS), analyze_batch(tiny.model(architecture), examples, METHODS), strict=True
    )
    for gpu, cpu in pairs:
        assert gpu.tokens == cpu.tokens and gpu.error is None
        close(gpu.prefix_scores, cpu.prefix_scores)
        close(gpu.observation.response_row, cpu.observation.response_row)
        close(gpu.observation.pooling_row, cpu.observation.pooling_row)
        for label in METHODS:
            close(gpu.credits[label].values, cpu.credits[label].values)
            if cpu.credits[label].reference is not None:
                assert gpu.credits[label].reference == pytest.approx(cpu.credits[label].reference, rel=1e-3, abs=1e-3)


def test_log_ratios_equal_the_cpus():
    found = []
    for device in ("cuda", "cpu"):
        policy, reference = (
            load_policy(str(tiny_lm.checkpoint(seed=s)), device=device, dtype="float32") for s in (1, 2)
        )
        model = load_reward_model(str(tiny.checkpoint("Llama", "ends")), device=device, dtype="float32")
        names = ["dpo", "rto", "tdpo", "kl", "treg", "abc_d"]
        found.append(analyze(model, PROMPT, RESPONSES[0], names, policy=policy, reference=reference))
    for label, credit in found[1].credits.items():
        close(found[0].credits[label].values, credit.values)


def test_a_full_map_equals_the_cpus():
    model = load_reward_model(str(tiny.checkpoint()), device="cuda")
    encoding = model.encode(analyze(model, PROMPT, RESPONSES[0], ["sparse"]).example)
    close(attention_matrix(model, encoding, 1, 2), attention_matrix(tiny.model(), encoding, 1, 2))


def test_loading_another_model_frees_the_first_ones_memory():
    def weights(folder):
        model = load_reward_model(str(folder), device="cuda")
        analyze(model, PROMPT, RESPONSES[0], METHODS)
        return model

    folders = tiny.checkpoint("Llama"), tiny.checkpoint("Qwen3")
    weights(folders[0])  # what CUDA's libraries keep for themselves is allocated now
    gc.collect()
    rest = torch.cuda.memory_allocated()
    model = weights(folders[0])
    one = torch.cuda.memory_allocated() - rest
    assert one > 0
    del model
    gc.collect()
    assert torch.cuda.memory_allocated() - rest < 0.1 * one
    model = weights(folders[1])
    both = torch.cuda.memory_allocated() - rest
    assert both < 1.6 * one  # one model's worth, not two
    del model
