"""The text a model was trained on: the field's usual texts, lines and Jinja files, with and without what follows the response."""

import json
import shutil
from functools import cache

import pytest
import tiny
import tiny_lm
import tiny_pairs
import tiny_steps
import torch
from tokenizers.processors import TemplateProcessing

import redviz
from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError
from redviz.messages import as_prompt
from redviz.models.kinds.policy import load_policy
from redviz.models.loading.load import load_reward_model, with_template
from redviz.models.loading.load_pairs import load_pair_scorer
from redviz.models.reading.encode import DATED, encode, template_hash
from redviz.models.reading.templates import TEXTS, names_file, use_template, writes_date
from redviz.records import Example

TURNS = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "How?"},
)
STANFORD = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
)
FASTCHAT = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)


def tokenizer(bos=False):
    made = tiny.tokenizer("none")
    if bos:
        start = made.convert_tokens_to_ids("<|user|>")
        made.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|user|> $A", special_tokens=[("<|user|>", start)]
        )
    return made


def written(template, prompt="Hi.", bos=False):
    made = tokenizer(bos)
    use_template(made, template, "m")
    return encode(made, Example(prompt, "Well."), max_length=512)


@cache
def folder():
    return tiny.checkpoint(template="none")


# ---------------------------------------------------------------- the usual texts


@pytest.mark.parametrize(
    ("name", "one", "several"),
    [
        (
            "chatml",
            "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nWell.<|im_end|>\n",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
            "<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\nWell.<|im_end|>\n",
        ),
        (
            "alpaca",
            "### Instruction:\nHi.\n\n### Response:\nWell.",
            "Be brief.\n\n### Instruction:\nHi.\n\n### Response:\nHello.\n\n### Instruction:\nHow?\n\n### Response:\nWell.",
        ),
        (
            "alpaca-preamble",
            STANFORD + "### Instruction:\nHi.\n\n### Response:\nWell.",
            "Be brief.\n\n### Instruction:\nHi.\n\n### Response:\nHello.\n\n### Instruction:\nHow?\n\n### Response:\nWell.",
        ),
        (
            "vicuna",
            "USER: Hi. ASSISTANT: Well.",
            "Be brief. USER: Hi. ASSISTANT: Hello.<|end|>USER: How? ASSISTANT: Well.",
        ),
        (
            "vicuna-preamble",
            FASTCHAT + "USER: Hi. ASSISTANT: Well.",
            "Be brief. USER: Hi. ASSISTANT: Hello.<|end|>USER: How? ASSISTANT: Well.",
        ),
        (
            "hh",
            "\n\nHuman: Hi.\n\nAssistant: Well.",
            "Be brief.\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: How?\n\nAssistant: Well.",
        ),
        (
            "qa",
            "Question: Hi.\n\nAnswer: Well.",
            "Be brief.\n\nQuestion: Hi.\n\nAnswer: Hello.\n\nQuestion: How?\n\nAnswer: Well.",
        ),
    ],
)
def test_a_usual_text_writes_one_turn_and_several_with_and_without_eos(name, one, several):
    assert (written(name).rendered, written(name, TURNS).rendered) == (one, several)
    assert (written(f"{name}+eos").rendered, written(f"{name}+eos", TURNS).rendered) == (
        one + "<|end|>",
        several + "<|end|>",
    )


def test_every_file_of_the_table_is_tested_above():
    tested = {"chatml", "alpaca", "alpaca-preamble", "vicuna", "vicuna-preamble", "hh", "qa"}
    assert set(TEXTS) == tested | {"plain"}


def test_a_usual_text_has_what_the_tokenizer_adds_unless_it_may_not():
    made = tokenizer(bos=True)
    for template, text in {
        "qa": "Question: Hi.\n\nAnswer: Well.",
        "plain+eos": "Hi.Well.<|end|>",
        "own+eos": "Hi.Well.<|end|>",
    }.items():
        assert written(template, bos=True).ids.tolist() == made(text)["input_ids"]
        alone = written(f"{template}-bos", bos=True).ids.tolist()
        assert alone == made(text, add_special_tokens=False)["input_ids"] == made(text)["input_ids"][1:]


def test_plain_takes_a_template_away():
    made = tiny.tokenizer("closed")
    use_template(made, "plain", "m")
    assert made.chat_template is None and template_hash(made) == ""
    assert encode(made, Example("Hi.", "Well."), max_length=512).rendered == "Hi.Well."


def test_own_keeps_the_template_and_may_add_an_eos():
    made = tiny.tokenizer("open")
    use_template(made, "own", "m")
    assert made.chat_template == tiny.OPEN
    use_template(made, "own+eos", "m")
    assert encode(made, Example("Hi.", "Well."), max_length=512).rendered == "<|user|>Hi.<|assistant|>Well.<|end|>"


def test_a_generation_prompt_of_a_usual_text_has_no_eos():
    made = tokenizer()
    use_template(made, "hh+eos", "m")
    asked = made.apply_chat_template(list(TURNS), tokenize=False, add_generation_prompt=True)
    assert asked == "Be brief.\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: How?\n\nAssistant:"


# ---------------------------------------------------------------- lines and files


def test_a_line_is_taken_as_it_is_written():
    line = r'"Q" {{ x }} {% é \ : {prompt}\nA: {response} </s>'
    assert written(line).rendered == '"Q" {{ x }} {% é \\ : Hi.\nA: Well. </s>'
    with pytest.raises(
        RedvizError, match=r"a line for a prompt of one turn; give the prompt as one string, or a template"
    ):
        written(line, TURNS)


def test_a_jinja_file_writes_all_of_its_text_itself(tmp_path):
    path = tmp_path / "chat.jinja"
    path.write_text(tiny.CLOSED)
    encoding = written(str(path), bos=True)
    assert encoding.rendered == "<|user|>Hi.<|end|>\n<|assistant|>Well.<|end|>\n"
    assert encoding.ids.tolist() == tokenizer()(encoding.rendered, add_special_tokens=False)["input_ids"]
    assert (names_file(str(path)), names_file(f"{path}+eos"), names_file("hh+eos-bos")) == (True, True, False)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Q: {prompt}", r"'Q: \{prompt\}' has \{response\} 0 times; write it once"),
        ("{prompt} {response} {response}", r"has \{response\} 2 times; write it once"),
        ("A: {response}", r"has \{prompt\} 0 times; write it once"),
        ("nowhere.jinja", r"'nowhere.jinja' is no file; give one of own, alpaca, .*qa, .*a Jinja file, or a line"),
        ("hh\0", r"is no file; give one of"),
        (".", r"'.' cannot be read \(IsADirectoryError\); give one of"),
    ],
)
def test_a_template_that_is_none_is_one_sentence(template, said):
    with pytest.raises(RedvizError, match=said) as raised:
        written(template)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ raise_exception('no tools here') }}", r"cannot write a prompt and a response \(no tools here\); mend it"),
        ("{% for m in %}", r"cannot write a prompt and a response \(.*\); mend it"),
        (
            "{{ messages.__class__.__mro__[1].__subclasses__() }}",
            r"cannot write a prompt and a response \(.*unsafe.*\)",
        ),
        ("{{ messages[-1]['content'] }}", r"loses the prompt; write the content of every turn"),
        ("{{ messages[0]['content'] }}", r"writes the response 0 times, and redviz needs it once"),
        ("{% for m in messages %}{{ m.content * 2 }}{% endfor %}", r"writes the response 2 times"),
    ],
)
def test_a_jinja_file_that_cannot_be_right_is_one_sentence(tmp_path, source, said):
    (tmp_path / "x.jinja").write_text(source)
    with pytest.raises(RedvizError, match=said) as raised:
        written(str(tmp_path / "x.jinja"))
    assert "\n" not in str(raised.value)


def test_a_jinja_file_that_is_a_git_lfs_pointer_is_named_as_one(tmp_path):
    path = tmp_path / "chat.jinja"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 900\n")
    with pytest.raises(RedvizError, match="chat.jinja is a Git LFS pointer"):
        use_template(tokenizer(), str(path), "m")


def test_an_eos_that_there_is_not_or_that_stands_already_is_refused():
    made = tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", made.eos_token_id)]
    )
    with pytest.raises(RedvizError, match=r"writes <\|end\|> behind every text already; leave \+eos out"):
        use_template(made, "hh+eos", "m")
    use_template(made, "hh+eos-bos", "m")
    made.eos_token = None
    with pytest.raises(RedvizError, match=r"m's tokenizer has no EOS token; leave \+eos out"):
        use_template(made, "own+eos", "m")


# ---------------------------------------------------------------- models


@torch.no_grad()
def at_last(path, text):
    module = tiny.transformers.AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32)
    ids = torch.tensor([tiny.tokenizer("none")(text)["input_ids"]])
    return float(module.score(module.base_model(ids).last_hidden_state)[0, -1, 0])


def test_a_model_that_learnt_to_read_at_eos_is_read_there():
    for template, text in {
        "plain+eos": "Hi. A superb film.<|end|>",
        "qa": "Question: Hi.\n\nAnswer:  A superb film.",
    }.items():
        model = load_reward_model(str(folder()), template=template)
        analysis = redviz.analyze(model, "Hi.", " A superb film.", methods=["red"])
        assert analysis.score == pytest.approx(at_last(folder(), text), abs=1e-5)
        assert analysis.source.template == analysis.to_dict()["source"]["template"] == template


def test_templates_have_hashes_of_their_own():
    asked = [None, "own+eos", "hh", "hh+eos", "hh-bos", "qa", "{prompt}{response}", "{prompt} {response}"]
    hashes = [load_reward_model(str(folder()), template=template).source.template_hash for template in asked]
    assert len(set(hashes)) == len(asked)


def test_a_copy_reads_another_text_with_the_same_weights():
    model = load_reward_model(str(folder()))
    other = with_template(model, "qa+eos")
    assert other.module is model.module and model.tokenizer.chat_template is None
    assert other.source.template == "qa+eos" and other.source.template_hash not in ("", model.source.template_hash)
    text = other.encode(Example("Hi.", "Well.")).rendered
    assert text == "Question: Hi.\n\nAnswer: Well.<|end|>"
    assert model.encode(Example("Hi.", "Well.")).rendered == "Hi.Well."


def test_a_path_is_as_good_as_its_name(tmp_path):
    path = tmp_path / "chat.jinja"
    path.write_text(tiny.CLOSED)
    source = load_reward_model(str(tiny.checkpoint()), device="cpu", template=path).source
    assert source.template == str(path)
    with pytest.raises(RedvizError, match="'3' is no file"):
        load_reward_model(str(tiny.checkpoint()), device="cpu", template=3)


def test_a_checkpoint_says_its_text_once_and_an_argument_wins(tmp_path):
    path = tmp_path / "m"
    shutil.copytree(folder(), path)
    (path / "redviz.json").write_text('{"template": "mine.jinja+eos"}')
    (path / "mine.jinja").write_text(tiny.OPEN)
    stated = load_reward_model(str(path))
    assert stated.encode(Example("Hi.", "Well.")).rendered == "<|user|>Hi.<|assistant|>Well.<|end|>"
    assert stated.source.template == "mine.jinja+eos"
    assert load_reward_model(str(path), template="hh").source.template == "hh"
    assert load_reward_model(str(path), template="own").encode(Example("Hi.", "Well.")).rendered == "Hi.Well."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "a redviz.json that is not JSON"),
        ("[]", "a redviz.json without a text as template"),
        ('{"template": 3}', "a redviz.json without a text as template"),
        ('{"templat": "hh"}', "a redviz.json with an unknown 'templat'; it may hold template"),
        (
            '{"template": "../m.jinja"}',
            "redviz.json beside .*: The template '../m.jinja' lies outside of the checkpoint",
        ),
        ('{"template": "/etc/hostname"}', "redviz.json beside .*: .*lies outside of the checkpoint"),
        ('{"template": "nope"}', "redviz.json beside .*: The template 'nope' is no file"),
    ],
)
def test_a_bad_redviz_json_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "m"
    shutil.copytree(folder(), path)
    (path / "redviz.json").write_text(text)
    with pytest.raises(RedvizError, match=said) as raised:
        load_reward_model(str(path))
    assert "\n" not in str(raised.value)


def test_a_policy_and_an_implicit_reward_read_the_text_that_is_asked_for():
    path = tiny_lm.checkpoint()
    policy = load_policy(str(path), template="qa+eos")
    assert policy.encode(Example("Hi.", "Well.")).rendered == "Question: Hi.\n\nAnswer: Well.<|end|>"
    implicit = load_reward_model(f"dpo:{path}|{path}", template="hh")
    assert implicit.reference.encode(Example("Hi.", "Well.")).rendered == "\n\nHuman: Hi.\n\nAssistant: Well."
    assert (
        with_template(implicit, "qa").policy.encode(Example("Hi.", "Well.")).rendered
        == "Question: Hi.\n\nAnswer: Well."
    )


def test_models_with_a_text_of_their_own_kind_say_so(tmp_path):
    with pytest.raises(RedvizError, match="reads them between marks of its own; leave --template out"):
        load_pair_scorer(str(tiny_pairs.checkpoint()), template="hh")
    tiny_steps.token_classifier(tmp_path)
    with pytest.raises(RedvizError, match="reads its steps as plain text of its own form; leave --template out"):
        load_reward_model(str(tmp_path), template="hh")


# ---------------------------------------------------------------- a text that was taken apart on reading

HH = [
    "\n\nHuman: How do I bake?\n\nAssistant: Slowly.",
    "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How?\n\nAssistant:  Well. ",
    "Human: one\n\nHuman:two\n\nAssistant: both",
]


@pytest.mark.parametrize("text", HH)
@pytest.mark.parametrize("template", [None, "plain", "plain+eos"])
def test_hh_text_is_read_as_it_stands_in_the_file(text, template):
    rows = json.dumps({"chosen": text, "rejected": text[:-1] + "!"}).encode()
    [item] = open_dataset(rows, "hh.jsonl").items()
    made = tokenizer()
    use_template(made, template, "m")
    chosen = as_prompt(item.prompt)  # as the public verbs take it
    encoding = encode(made, Example(chosen, item.candidates[0].response), max_length=512)
    assert encoding.rendered.removesuffix("<|end|>") == text and encoding.notices == ()
    assert item.candidates[1].prompt is None


def test_hh_text_in_a_column_of_prompts_keeps_its_marks():
    rows = json.dumps({"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " Yes", "rejected": " No"}).encode()
    [item] = open_dataset(rows, "hh.jsonl").items()
    example = item.examples[0]
    assert encode(tokenizer(), example, max_length=512).rendered == "\n\nHuman: Hi\n\nAssistant: Yes"
    assert written("qa", example.prompt).rendered == "Question: Hi\n\nAnswer: Well."


@pytest.mark.parametrize("template", [None, "plain+eos"])
def test_hh_text_that_cannot_be_joined_again_is_refused(template):
    text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nAssistant: there"
    [item] = open_dataset(json.dumps({"chosen": text, "rejected": text + "!"}).encode(), "hh.jsonl").items()
    made = tokenizer()
    use_template(made, template, "m")
    with pytest.raises(RedvizError, match="repeats the mark|name a text that marks every turn"):
        encode(made, item.examples[0], max_length=512)


# ---------------------------------------------------------------- a template that writes the day

DATED_TEMPLATE = "Today is {{ strftime_now('%d %b %Y') }}.\n" + tiny.CLOSED


def test_a_template_that_writes_the_date_is_told():
    made = tiny.tokenizer("closed")
    assert not writes_date(made)
    made.chat_template = "{% set day = strftime_now('%Y') %}" + tiny.CLOSED  # asks for it and does not write it
    assert not writes_date(made)
    made.chat_template = DATED_TEMPLATE
    assert writes_date(made)
    assert DATED in encode(made, Example("Hi.", "Well."), max_length=512).notices
