"""A card is green on a sound model, and each trap turns its row."""

import copy
import json
from dataclasses import replace

import pytest
import tiny
import torch
from tokenizers.processors import TemplateProcessing
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

import redviz
from redviz.credit.recipes import METHODS
from redviz.errors import Cancelled
from redviz.evaluation.conformance import checks, checks_of_scores
from redviz.evaluation.conformance.checks import RESPONSES, native_attention, native_score, subject
from redviz.evaluation.conformance.conformance import CHECKS, ConformanceCard, check_model
from redviz.models.loading.load import with_template
from redviz.models.running.attention import FAST

EXACT = ("sparse", "uniform", "red", "abc")
ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 6, "long_factor": [4.0] * 6}


def rows(card: ConformanceCard) -> dict[str, str]:
    """The rows that are not green; random weights order obvious pairs as a coin does, which test_obvious_pairs.py is about."""
    return {c.name: c.verdict for c in card.checks if c.verdict != "green" and c.name != "obvious_pairs"}


def row(name: str, loaded) -> "tuple[str, str, str]":
    finding = CHECKS[name][1](subject(loaded))
    return finding.verdict, finding.figure, finding.remedy


def private(architecture: str = "Llama", template: str = "closed", **options):
    """A model of one's own, to break."""
    shared = tiny.model(architecture, template, **options)
    return replace(shared, module=copy.deepcopy(shared.module), tokenizer=copy.deepcopy(shared.tokenizer))


@pytest.fixture
def no_masks(monkeypatch):
    """What happens when an attention function is registered without its mask function."""
    monkeypatch.setitem(ALL_MASK_ATTENTION_FUNCTIONS, FAST, lambda *args, **kwargs: None)


@pytest.fixture
def few_steps(monkeypatch):
    """Integrated gradients that give up after one step."""
    monkeypatch.setattr("redviz.credit.from_models.integrated_gradients.STEP_CAP", 1)
    monkeypatch.setattr("redviz.credit.from_models.integrated_gradients.FIRST_STEPS", 1)


# ---------------------------------------------------------------- sound models


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2"])
def test_a_sound_model_is_green_up_to_its_whole_context(architecture):
    card = check_model(tiny.model(architecture))
    assert rows(card) == {} and not card.thorough
    assert card.verified_length == card.max_length == 512
    assert card.reading_column == -1 and card.reading_token == "\n"
    assert [check.name for check in card.checks] == list(CHECKS)
    assert all(check.figure for check in card.checks)
    assert ("the sliding window of 12" in card["prefix_consistency"].figure) == (architecture == "Mistral")


def test_the_card_is_deterministic_and_carries_what_identifies_the_model():
    loaded = tiny.model()
    card = check_model(loaded)
    assert check_model(loaded) == card
    read = json.loads(card.to_json())
    assert read["fingerprint"] == loaded.source.fingerprint != ""
    assert read["template_hash"] == loaded.source.template_hash != ""
    assert read["versions"]["redviz"] == redviz.__version__
    assert read["verdict"] == card.verdict and read["checks"][0]["figure"] == card.checks[0].figure


def test_progress_is_told_and_can_cancel():
    told = []
    check_model(tiny.model(), lambda done, total: told.append((done, total)))
    assert sorted(set(told)) == [(done, len(CHECKS)) for done in range(len(CHECKS) + 1)] and told == sorted(told)
    assert len(told) > 2 * len(CHECKS)  # long checks tell of themselves in between, so that a page can cancel them

    def cancel(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        check_model(tiny.model(), cancel)


def test_the_models_own_forward_is_native_and_is_put_back():
    loaded = private()
    seen = []
    loaded.module.register_forward_pre_hook(lambda *args: seen.append(loaded.module.config._attn_implementation))
    native_score(loaded, [7, 8, 9])
    assert seen == ["sdpa"] and loaded.module.config._attn_implementation == FAST
    with pytest.raises(ZeroDivisionError), native_attention(loaded):
        1 / 0  # noqa: B018
    assert loaded.module.config._attn_implementation == FAST


# ---------------------------------------------------------------- scores


def test_a_head_that_is_not_the_models_own_is_red():
    loaded = private()
    loaded.head = copy.deepcopy(loaded.head)
    loaded.head.weight.data *= 1.02
    assert row("own_score", loaded)[0] == "red"
    assert row("own_score", tiny.model())[0] == "green"


def test_a_missing_mask_breaks_left_padding(no_masks):
    assert row("padding", tiny.model("Llama"))[0] == "red"
    assert row("batching", tiny.model("Llama"))[0] == "green"  # right padding hides it


def test_a_missing_mask_breaks_the_sliding_window(no_masks):
    card = check_model(tiny.model("Mistral"))
    assert {"own_score", "prefix_consistency", "sums"} <= {
        name for name, verdict in rows(card).items() if verdict == "red"
    }
    assert card.verdict == "red" and card.verified_length == 0


def test_positions_that_ignore_the_mask_break_left_padding(monkeypatch):
    wrong = lambda mask: torch.arange(mask.shape[1]).expand(mask.shape)  # noqa: E731
    monkeypatch.setattr("redviz.models.running.observe.positions", wrong)
    assert row("padding", tiny.model("GPT2"))[0] == "red"
    assert row("batching", tiny.model("GPT2"))[0] == "green"


def test_a_batch_whose_rows_touch_is_red():
    loaded = private()
    loaded.module.base_model.norm.register_forward_hook(lambda module, args, out: out + 0.1 * out.mean(0, keepdim=True))
    assert row("batching", loaded)[0] == "red"


def test_a_model_that_looks_both_ways_is_red():
    loaded = private()
    loaded.module.base_model.norm.register_forward_hook(lambda module, args, out: out + out.mean(1, keepdim=True))
    card = check_model(loaded)
    assert card["causality"].verdict == "red" and "both ways" in card["causality"].figure
    assert card["prefix_consistency"].verdict == "red"
    assert card["own_score"].verdict == "green"


def test_prefixes_that_hold_only_up_to_the_original_context():
    options = {"rope_parameters": {**ROPE, "original_max_position_embeddings": 128}}
    folder = tiny.save(tiny._FOLDER / "longrope", "Llama", **options)
    loaded = redviz.load_reward_model(str(folder), device="cpu")
    verdict, figure, remedy = row("prefix_consistency", loaded)
    assert verdict == "red" and "in a text of 160 tokens; agrees in texts of up to 128" in figure
    assert remedy == "Load it with --max-length 128."
    assert row("prefix_consistency", replace(loaded, max_length=128))[0] == "green"


def test_dynamic_rope_is_read_within_the_trained_context():
    scaled = {
        "rope_type": "dynamic",
        "factor": 4.0,
        "rope_theta": 10000.0,
    }  # its angles depend on the length of the whole text
    folder = tiny.save(tiny._FOLDER / "dynamic", "Llama", rope_parameters=scaled, max_position_embeddings=128)
    loaded = redviz.load_reward_model(str(folder), device="cpu")
    assert loaded.max_length == 128 and row("prefix_consistency", loaded)[0] == "green"
    verdict, _, remedy = row("prefix_consistency", replace(loaded, max_length=400))
    assert verdict == "red" and remedy.startswith("Load it with --max-length ")


def test_what_was_not_measured_is_amber_and_says_so(monkeypatch):
    monkeypatch.setitem(checks.OPERATIONS, "cpu", 0.0)
    window = tiny.model("Mistral", sliding_window=200)
    verdict, figure, remedy = row("prefix_consistency", window)
    assert verdict == "amber" and "the sliding window of 200" in remedy and "of 512 tokens" in figure
    verdict, figure, remedy = row("sums", window)
    assert verdict == "amber" and "ig not measured" in figure
    thorough = subject(window, checks.Effort(thorough=True))
    assert CHECKS["prefix_consistency"][1](thorough).length == 512
    assert CHECKS["sums"][1](thorough).verdict == "green"


def test_a_small_budget_shortens_a_check_and_the_row_says_so(monkeypatch):
    loaded = tiny.model()
    monkeypatch.setitem(
        checks.OPERATIONS, "cpu", checks_of_scores.operations(loaded, 128) / checks.SHARES["prefix_consistency"]
    )
    card = check_model(loaded)
    assert card.verified_length == 128 and "texts of 512 tokens were left out" in card["prefix_consistency"].figure
    assert "ig" in card["sums"].figure and "on the shortest text" in card["sums"].figure
    assert check_model(loaded, thorough=True).verified_length == 512


@pytest.mark.parametrize("method", EXACT)
def test_credits_that_do_not_add_up_are_red(monkeypatch, few_steps, method):
    info = METHODS[method]

    def short(*args, **options):
        credit = info.credit(*args, **options)
        return replace(credit, values=credit.values * 0.99)

    monkeypatch.setitem(METHODS, method, replace(info, credit=short))
    verdict, _, remedy = row("sums", tiny.model())
    assert verdict == "red" and f"Do not use {method}; report this card to redviz." in remedy


def test_credits_of_another_score_are_red(monkeypatch, few_steps):
    info = METHODS["abc"]

    def other(observation, **options):
        credit = info.credit(observation, **options)
        return replace(credit, values=credit.values * 1.5, total=credit.total * 1.5)

    monkeypatch.setitem(METHODS, "abc", replace(info, credit=other))
    verdict, _, remedy = row("sums", tiny.model())
    assert verdict == "red" and "but the model's score is" in remedy


def test_gradients_that_do_not_converge_are_amber(few_steps):
    verdict, figure, remedy = row("sums", tiny.model())
    assert verdict == "amber" and "at 1 steps" in figure and remedy == "Give ig more steps."


def test_rounding_is_measured_against_float32(monkeypatch):
    loaded = redviz.load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    fine = row("rounding", loaded)
    assert fine[1].startswith("bfloat16 moves a step") and loaded.dtype == torch.bfloat16
    rough = redviz.load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    for layer in rough.module.base_model.layers:  # a large common offset eats the digits that tell tokens apart
        layer.register_forward_hook(lambda module, args, out: out + 64.0 if out.dtype == torch.bfloat16 else out)
    rough.module.base_model.norm.register_forward_pre_hook(lambda module, args: (args[0] - 3 * 64.0,))
    assert row("rounding", rough)[0] != "green" and "--dtype float32" in row("rounding", rough)[2]
    monkeypatch.setattr(checks_of_scores, "COPY_BYTES", 1)
    verdict, figure, _ = row("rounding", loaded)
    assert verdict == "amber" and figure.startswith("not measured")


# ---------------------------------------------------------------- weights


def test_weights_that_are_no_numbers_are_red():
    loaded = private()
    loaded.module.base_model.layers[1].mlp.up_proj.weight.data[0, 0] = float("nan")
    card = check_model(loaded)
    assert card["weights"].verdict == "red" and "layers.1.mlp.up_proj" in card["weights"].figure
    assert card["own_score"].verdict == "red"  # NaN equals nothing


def test_a_constant_head_is_red():
    loaded = private()
    loaded.head = copy.deepcopy(loaded.head)
    loaded.head.weight.data.zero_()
    assert row("weights", loaded)[:2] == ("red", "every text scores 0")


# ---------------------------------------------------------------- text


def test_pad_equal_to_eos_is_amber_and_the_last_token_can_be_asked_for():
    card = check_model(tiny.model("Llama", "ends", pad="<|end|>"))
    assert rows(card) == {"pad_is_eos": "amber"}
    assert card.reading_column == -2 and "'<|end|>' for padding" in card["pad_is_eos"].figure
    assert "--read last" in card["pad_is_eos"].remedy
    last = check_model(replace(tiny.model("Llama", "ends", pad="<|end|>"), read="last"))
    assert rows(last) == {} and last.reading_column == -1
    assert "as asked" in last["pad_is_eos"].figure


def with_bos(times: int, added: bool = False):
    loaded = private()
    loaded.tokenizer.bos_token = "<|system|>"
    loaded.tokenizer.chat_template = "<|system|>" * times + tiny.CLOSED
    if added:
        loaded.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|system|> $A", special_tokens=[("<|system|>", loaded.tokenizer.bos_token_id)]
        )
    return loaded


def test_bos_tokens_are_counted():
    verdict, figure, _ = row("bos_tokens", with_bos(2))
    assert verdict == "amber" and figure == "2 BOS tokens '<|system|>' start the text"
    assert row("bos_tokens", with_bos(1))[:2] == ("green", "1 BOS token '<|system|>' starts the text")
    assert row("bos_tokens", with_bos(0))[0] == "green"
    assert row("bos_tokens", tiny.model())[:2] == ("green", "the tokenizer has no BOS token")


def test_a_tokenizer_that_adds_bos_is_compared_with_the_template():
    verdict, figure, _ = row("bos_tokens", with_bos(1, added=True))
    assert verdict == "green" and "would get a second one" in figure  # and redviz reads one
    verdict, _, remedy = row("bos_tokens", with_bos(0, added=True))
    assert verdict == "amber" and "may lack the BOS token" in remedy


@pytest.mark.parametrize(
    ("template", "figure"),
    [
        ("closed", "2 tokens: '<|end|>' '\\n'; the score is read at token 2"),
        ("open", "nothing; the score is read at the"),
    ],
)
def test_closing_tokens_are_told(template, figure):
    assert row("closing_tokens", tiny.model("Llama", template))[1].startswith(figure)


def test_trained_length_is_told():
    assert "does not say" in row("trained_length", tiny.model())[1]
    told = row("trained_length", replace(tiny.model(), trained_length=300))[1]
    assert told.startswith("trained on texts of up to 300 of the 512") and "notice" in told


def test_a_short_context_cuts_the_texts_and_still_holds():
    card = check_model(replace(tiny.model(), max_length=30))
    assert rows(card) == {} and card.verified_length == 30
    assert (
        "have no scores (The prompt" in card["obvious_pairs"].figure
        or "not measured: The prompt" in card["obvious_pairs"].figure
    )
    assert len(RESPONSES[0]) > 30


# ---------------------------------------------------------------- the text


def test_an_eos_that_training_may_have_appended_is_named_with_the_option_that_reads_at_it():
    verdict, figure, remedy = row("eos", tiny.model(template="none"))
    assert verdict == "amber" and "without the EOS token <|end|>; TRL's RewardTrainer and OpenRLHF append it" in figure
    assert "--template own+eos" in remedy
    assert row("eos", with_template(tiny.model(template="none"), "own+eos"))[0] == "green"
    assert row("eos", with_template(tiny.model(template="none"), "qa"))[0] == "green"  # as it was asked for


def test_an_eos_that_stands_in_no_template_is_named():
    open_ended = row("eos", tiny.model(template="open"))
    assert open_ended[0] == "amber" and "<|end|> stands nowhere in what the chat template writes" in open_ended[1]
    loaded = private()
    loaded.tokenizer.eos_token = "<|system|>"  # the turn ends with a special token of its own
    verdict, figure, _ = row("eos", loaded)
    assert verdict == "green" and "<|system|> stands nowhere" in figure


def test_a_template_that_writes_the_day_is_amber():
    loaded = private()
    loaded.tokenizer.chat_template = "{{ strftime_now('%d %b') }}" + tiny.CLOSED
    verdict, figure, remedy = row("date", loaded)
    assert verdict == "amber" and "today's date" in figure and "--template" in remedy
    assert row("date", tiny.model())[0] == "green"
