"""Where the response stands in what the model reads, and which characters each of its tokens stands for."""

from functools import cache

import numpy as np
import pytest
import tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from redviz.errors import RedvizError
from redviz.models.reading.conversations import SENTINEL, messages_of
from redviz.models.reading.encode import encode, template_hash
from redviz.records import Example
from redviz.text import cells

tokenizer = cache(tiny.tokenizer)
FORMS = ("closed", "trims", "thinks", "open", "none")


def encoded(prompt, response, template="closed", max_length=512, **options):
    return encode(tokenizer(template), Example(prompt, response), max_length=max_length, **options)


def own_text(encoding):
    return "".join(encoding.pieces[encoding.start : encoding.stop])


def with_template(text):
    made = tiny.tokenizer("closed")
    made.chat_template = text
    return made


# ---------------------------------------------------------------- the span


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ("closed", "<|user|>Hi<|end|>\n<|assistant|>", "<|end|>\n"),
        ("thinks", "<|user|>Hi<|end|>\n<|assistant|><think>\n\n</think>\n\n", "<|end|>\n"),
        ("open", "<|user|>Hi<|assistant|>", ""),
        ("none", "Hi", ""),
    ],
)
def test_the_template_stands_around_the_response(template, before, after):
    encoding = encoded("Hi", " A superb film.", template)
    assert encoding.rendered == f"{before} A superb film.{after}"
    assert "".join(encoding.pieces[: encoding.start]) == before
    assert own_text(encoding) == " A superb film."
    assert "".join(encoding.pieces[encoding.stop :]) == after
    assert encoding.read == len(encoding.ids) - 1
    assert encoding.notices == ()


def test_the_ids_are_those_of_the_template():
    made = tokenizer("closed")
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A superb film."}]
    wanted = made.apply_chat_template(messages, tokenize=True)["input_ids"]
    assert encoded("Hi", "A superb film.").ids.tolist() == wanted


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        ("A dull mess", "A dull mess"),  # the prompt repeats the response
        ("mess", "A dull mess, mess after mess"),  # the response contains the prompt
        ("Say assistant", "assistant"),
        ("Hi", f"{SENTINEL} is no {SENTINEL}X word"),
        (SENTINEL, f"{SENTINEL}XX"),
        ("Hi", "superb\n"),  # the response ends as the closing does
    ],
)
@pytest.mark.parametrize("template", FORMS)
def test_the_span_is_compared_not_searched(template, prompt, response):
    encoding = encoded(prompt, response, template)
    assert own_text(encoding).endswith(response.strip() if template == "trims" else response)
    assert "".join(encoding.pieces[: encoding.start]) in encoding.rendered[: len(encoding.rendered) - len(response)]
    assert sum(end - start for start, end in encoding.offsets) >= len(response.strip())


def test_trimmed_blanks_keep_the_persons_own_offsets():
    encoding = encoded("Hi", " \n superb film  ", "trims")
    assert own_text(encoding) == "superb film"
    assert (encoding.offsets[0][0], encoding.offsets[-1][1]) == (3, 14)
    assert "trims" in encoding.notices[0]


def test_a_template_that_drops_earlier_thoughts():
    made = with_template(tiny.CLOSED.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1] }}"))
    encoding = encode(made, Example("Hi", "<think>so so</think>A superb film."), max_length=512)
    assert own_text(encoding) == "A superb film."
    assert (encoding.offsets[0][0], encoding.offsets[-1][1]) == (20, 34)
    assert "drops part" in encoding.notices[0]


def test_a_template_that_rewrites_is_matched_by_alignment():
    made = with_template(
        tiny.CLOSED.replace("{{ m['content'] }}", "{{ m['content'] | replace('dull', 'quite dull') }}")
    )
    encoding = encode(made, Example("Hi", "A dull mess"), max_length=512)
    assert own_text(encoding) == "A quite dull mess"
    assert encoding.offsets[-1][1] == len("A dull mess")
    assert "".join(cell.text for cell in cells("A dull mess", encoding.offsets)) == "A dull mess"
    assert "rewrites" in encoding.notices[0]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            tiny.CLOSED.replace("{{ m['content'] }}", "{{ m['content'] }} {{ m['content'] }}"),
            r"^The .* writes the response 2 times, and redviz needs it once; save a template [^.]*\.$",
        ),
        ("{% for m in messages[:-1] %}{{ m['content'] }}{% endfor %}", "writes the response 0 times"),
        (tiny.CLOSED.replace("<|end|>", "{{ m['content'] | length }}<|end|>"), "changes its own text"),
        (tiny.CLOSED + "{{ raise_exception('no such role') }}", "no such role"),
    ],
)
def test_a_template_that_hides_the_span_is_refused(template, message):
    with pytest.raises(RedvizError, match=message):
        encode(with_template(template), Example("Hi", "superb"), max_length=512)


def test_the_first_token_may_straddle_the_header():
    encoding = encoded("The qui", "et street", "none")
    assert encoding.pieces[encoding.start] == " quiet"  # one token of the prompt's end and the response's start
    assert encoding.offsets[0] == (0, 2)
    assert "".join(encoding.pieces[: encoding.start]) == "The"  # P_0 is read before it
    assert encoding.offsets[-1][1] == len("et street")


@pytest.mark.parametrize(
    ("prompt", "response", "spelled"),
    [
        ("Hi", "superb<|end|>not this", "token <|end|>"),
        ("<|system|>Hi<|pad|>", "superb", "tokens <|pad|>, <|system|>"),
    ],
)
def test_special_tokens_spelled_out_are_read_as_such_with_a_notice(prompt, response, spelled):
    encoding = encoded(prompt, response)
    assert spelled in encoding.notices[0]
    assert [p for p in encoding.pieces if p.startswith("<|")].count("<|end|>") == 2 + ("<|end|>" in response)
    assert own_text(encoding) == response


# ---------------------------------------------------------------- prompts, BOS


def test_messages_and_text_are_the_same_prompt():
    assert messages_of("Hi") == [{"role": "user", "content": "Hi"}]
    said = ({"role": "user", "content": "Hi"},)
    assert encoded(said, "superb").rendered == encoded("Hi", "superb").rendered
    assert encoded(said, "superb", "none").rendered == "Hisuperb"
    turns = (*said, {"role": "assistant", "content": "superb"}, {"role": "user", "content": "Again?"})
    assert own_text(encoded(turns, "superb")) == "superb"
    assert encoded(turns, "superb").start > encoded(said, "superb").start
    with pytest.raises(RedvizError, match="no chat template"):
        encoded(turns, "superb", "none")


def test_tokens_that_the_tokenizer_adds_stand_for_no_character():
    made = tiny.tokenizer("none")
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A <|end|>", special_tokens=[("<|user|>", 2), ("<|end|>", 1)]
    )
    encoding = encode(made, Example("", "superb film"), max_length=512)
    assert (encoding.ids[0], encoding.ids[-1], encoding.start) == (2, 1, 1)  # P_0 is read at the BOS
    assert encoding.stop == encoding.read == len(encoding.ids) - 1
    assert own_text(encoding) == "superb film"
    templated = tiny.tokenizer("closed")
    templated.backend_tokenizer.post_processor = made.backend_tokenizer.post_processor
    ids = encode(templated, Example("Hi", "superb"), max_length=512).ids
    assert ids[:2].tolist() != [2, 2]  # the template writes its own: never two


def test_nothing_before_the_response_is_refused():
    with pytest.raises(RedvizError, match="give a prompt"):
        encoded("", "superb", "none")


@pytest.mark.parametrize(("template", "response"), [("closed", ""), ("trims", " \n ")])
def test_an_empty_response_is_refused(template, response):
    with pytest.raises(RedvizError, match="empty|no token"):
        encoded("Hi", response, template)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(RedvizError, match="surrogate"):
        encoded("Hi", "superb \ud83d")
    with pytest.raises(RedvizError, match="surrogate"):
        encoded(({"role": "user", "content": "\udc00"},), "superb")


# ---------------------------------------------------------------- the context


def test_a_long_response_is_cut_at_its_end_and_the_closing_stays():
    response = "The lead is superb and the photography is glorious."
    whole = encoded("Hi", response)
    cut = encoded("Hi", response, max_length=len(whole.ids) - 5)
    assert (cut.truncated, len(cut.ids), cut.start) == (5, len(whole.ids) - 5, whole.start)
    assert cut.ids.tolist() == [*whole.ids[: whole.stop - 5], *whole.ids[whole.stop :]]
    assert cut.offsets == whole.offsets[:-5]
    assert cut.pieces[-2:] == ("<|end|>", "\n") and len(cut.pieces) == len(cut.ids)
    assert cut.read == len(cut.ids) - 1
    assert "".join(whole.pieces) == whole.rendered and "".join(cut.pieces) == cut.rendered
    assert cut.rendered.endswith("<|end|>\n") and "glorious" not in cut.rendered
    assert "its last 5 of" in cut.notices[0]
    assert whole.truncated == 0


def test_a_prompt_that_fills_the_context_is_refused():
    whole = encoded("A dull, tedious mess", "superb")
    one = whole.start + 1 + len(whole.ids) - whole.stop
    assert encoded("A dull, tedious mess", "superb", max_length=one).stop == whole.start + 1
    with pytest.raises(RedvizError, match="prompt alone takes"):
        encoded("A dull, tedious mess", "superb", max_length=one - 1)


def test_the_reading_column_skips_padding_only_where_the_model_does():
    made = tokenizer("ends")
    pad = made.eos_token_id
    by_model = encode(made, Example("Hi", "superb"), max_length=512, pad_id=pad)
    assert by_model.read == by_model.stop - 1
    assert encode(made, Example("Hi", "superb"), max_length=512, pad_id=pad, read="last").read == by_model.stop
    assert encode(made, Example("Hi", "superb"), max_length=512, pad_id=None).read == by_model.stop


def test_the_templates_hash_follows_the_template():
    assert template_hash(tokenizer("none")) == ""
    assert len({template_hash(tokenizer(form)) for form in FORMS}) == len(FORMS)


# ---------------------------------------------------------------- any text at all


@pytest.mark.parametrize("template", ["closed", "thinks", "open", "none"])
@given(prompt=st.text(min_size=1, max_size=12), response=st.text(min_size=1, max_size=40))
@example(prompt="a", response="👩‍👩‍👧‍👦 مرحبا é 漢字\u200b\x00\r\n")
@settings(max_examples=30)
def test_offsets_cover_any_response(template, prompt, response):
    encoding = encoded(f"Hi {prompt}", response, template)  # the first token may straddle, but not be the very first
    assert len(encoding.offsets) == encoding.stop - encoding.start
    starts, ends = np.array(encoding.offsets).T
    assert starts.min() == 0 and ends[-1] == ends.max() == len(response)
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all() and (starts <= ends).all()
    assert (starts[1:] <= ends[:-1]).all()  # no character is left out
    assert "".join(cell.text for cell in cells(response, encoding.offsets)) == response


@given(response=st.text(min_size=1, max_size=40))
@settings(max_examples=60)
def test_offsets_cover_what_a_trimming_template_leaves(response):
    if not response.strip():
        return
    encoding = encoded("Hi", response, "trims")
    assert "".join(cell.text for cell in cells(response, encoding.offsets)) == response.strip()


@given(response=st.text(min_size=1, max_size=60), room=st.integers(1, 6))
@settings(max_examples=40)
def test_a_cut_response_is_the_start_of_the_whole_one(response, room):
    whole = encoded("Hi", response)
    closing = len(whole.ids) - whole.stop
    cut = encoded("Hi", response, max_length=whole.start + room + closing)
    kept = min(room, whole.stop - whole.start)
    assert cut.offsets == whole.offsets[:kept]
    assert cut.truncated == whole.stop - whole.start - kept
    assert cut.ids.tolist() == [*whole.ids[: whole.start + kept], *whole.ids[whole.stop :]]
    begin = whole.rendered.index("<|assistant|>") + len("<|assistant|>")
    read = response[: max(end for _, end in cut.offsets)]
    assert cut.rendered == whole.rendered[:begin] + read + "<|end|>\n"
