r"""The text a model was trained on: the tokenizer's own chat template, one of the field's usual texts, a Jinja file, or one line.

Whatever was asked for becomes the tokenizer's ``chat_template``, so that every part of redviz reads it, the hash of the template
covers all of it, and Transformers renders it in its sandbox. A template writes its own BOS, as chat templates do; the usual texts and
a line are texts as ``tokenizer(text)`` reads them, with what the tokenizer adds around any text. ``+eos`` and ``-bos`` change that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from redviz.errors import RedvizError
from redviz.git_lfs import refuse_pointer

FOLDER = Path(__file__).parent / "texts"
TEXTS = {name: (FOLDER / f"{name}.jinja").read_text("utf-8") for name in sorted(p.stem for p in FOLDER.glob("*.jinja"))}
"""Name to Jinja source, without what follows the response; each renders turns of system, user and assistant."""
OWN, PLAIN = "own", "plain"
NAMES = (OWN, *TEXTS)
EOS, NO_BOS = "+eos", "-bos"
ADDS = "{# with what the tokenizer adds #}"  # in a template: it does not write its own BOS
END = "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
PROMPT, RESPONSE = "{prompt}", "{response}"
PROBES = ("REDVIZ8PROMPT", "REDVIZ9RESPONSE")
DATED = re.compile(r"\bstrftime_now\b")
HOW = f"give one of {', '.join(NAMES)}, a Jinja file, or a line with {PROMPT} and {RESPONSE} in it"
ENDS = re.compile(rf"(?:{re.escape(EOS)}|{re.escape(NO_BOS)})+\Z")


def adds_tokens(tokenizer: Any) -> bool:
    """Whether the tokenizer writes its BOS and the like around the text: always, unless a template does it."""
    return not tokenizer.chat_template or ADDS in str(tokenizer.chat_template)


def names_file(template: str | None) -> bool:
    """Whether a value of ``template`` is neither a name nor a line, so that a file is read.

    >>> names_file("hh+eos"), names_file("Q: {prompt} A: {response}"), names_file("chat.jinja")
    (False, False, True)
    """
    base, _ = _parts(template or OWN)
    return base not in NAMES and not _is_line(base)


def use_template(tokenizer: Any, template: str | None, name: str, folder: Path | None = None) -> None:
    r"""Set the text that a tokenizer writes.

    Parameters
    ----------
    tokenizer
        Its ``chat_template`` is replaced; None, "" and "own" keep it.
    template
        A name of :data:`TEXTS`, the path of a Jinja file, or a line with ``{prompt}`` and ``{response}`` in it (``\n`` is a line
        break). ``+eos`` at its end writes the tokenizer's EOS behind the response, ``-bos`` keeps the tokenizer from adding tokens.
    name
        The model's, for sentences.
    folder
        Where a path must lie, of a template that came with a checkpoint.

    Raises
    ------
    RedvizError
        One sentence: nothing of that name, a line without one ``{prompt}`` and one ``{response}``, a template that does not parse,
        raises, or loses the prompt or the response; an EOS that there is not, or that the tokenizer writes already.
    """
    if not template or template == OWN:
        return
    base, ends = _parts(template)
    if base in ("", OWN):
        own = tokenizer.get_chat_template() if tokenizer.chat_template else None
        source = own or ADDS + TEXTS[PLAIN]
    elif base in TEXTS:
        source = ADDS + TEXTS[base]
    elif _is_line(base):
        source = ADDS + _line(base)
    else:
        source = _of_file(base, folder)
    if base == PLAIN and not ends:
        tokenizer.chat_template = None  # as a tokenizer without a template, two segments where it joins pairs
        return
    if NO_BOS in ends:
        source = source.replace(ADDS, "")
    if EOS in ends:
        _check_end(tokenizer, name, alone=ADDS not in source)
        source += END
    _check_renders(tokenizer, source, template)
    tokenizer.chat_template = source


def writes_date(tokenizer: Any) -> bool:
    """Whether the template writes the day's date, so that the same conversation is another text tomorrow.

    The template is rendered with two dates: one that asks for the clock and does not write it is none.
    """
    if not tokenizer.chat_template or not DATED.search(str(tokenizer.chat_template)):
        return False
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    days = ["{% macro strftime_now(format) %}" + day + "{% endmacro %}" + tokenizer.get_chat_template() for day in "12"]
    try:
        days = [tokenizer.apply_chat_template(turns, chat_template=source, tokenize=False) for source in days]
    except Exception:  # jinja raises its own tree; encoding says what is wrong with the template
        return True
    return bool(days[0] != days[1])


def from_anywhere(template: str | None) -> str | None:
    """The same value for any working directory: the path of a file from the root."""
    if not template or not names_file(template):
        return template
    base, ends = _parts(template)
    return f"{Path(base).expanduser().absolute()}{ends}"


def _parts(template: str) -> tuple[str, str]:
    """What was named, and what is said of the tokens around it."""
    ends = ENDS.search(template)
    return (template[: ends.start()], ends[0]) if ends else (template, "")


def _is_line(base: str) -> bool:
    return PROMPT in base or RESPONSE in base


def _line(line: str) -> str:
    """A line as Jinja, for conversations of one turn."""
    for part in (PROMPT, RESPONSE):
        if line.count(part) != 1:
            raise RedvizError(
                f"The template {line!r} has {part} {line.count(part)} times; write it once, such as "
                f"'Question: {PROMPT} Answer: {RESPONSE}'."
            )
    written = {PROMPT: "{{ messages[0]['content'] }}", RESPONSE: "{{ messages[1]['content'] }}"}
    pieces = re.split(f"({re.escape(PROMPT)}|{re.escape(RESPONSE)})", line.replace("\\n", "\n"))
    text = "".join(written.get(piece) or _literal(piece) for piece in pieces if piece)
    refusal = (
        "this template is a line for a prompt of one turn; give the prompt as one string, or a template that writes every turn "
        f"({', '.join(each for each in TEXTS if each != PLAIN)}, or a Jinja file)"
    )
    return "{% if messages | length != 2 %}" + "{{ raise_exception(" + _quoted(refusal) + ") }}{% endif %}" + text


def _literal(text: str) -> str:
    return "{{ " + _quoted(text) + " }}"


def _quoted(text: str) -> str:
    """A text as a string of Jinja, which reads backslashes as Python does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _of_file(base: str, folder: Path | None) -> str:
    path = Path(base).expanduser() if folder is None else folder / base
    if folder is not None and not path.resolve().parent.is_relative_to(folder.resolve()):
        raise RedvizError(f"The template {base!r} lies outside of the checkpoint; put it beside the weights.")
    try:
        refuse_pointer(path)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        missing = isinstance(error, (FileNotFoundError, ValueError)) and not isinstance(error, UnicodeDecodeError)
        why = "is no file" if missing else f"cannot be read ({type(error).__name__})"
        raise RedvizError(f"The template {base!r} {why}; {HOW}.") from error


def _check_end(tokenizer: Any, name: str, alone: bool) -> None:
    if tokenizer.eos_token is None:
        raise RedvizError(f"{name}'s tokenizer has no EOS token; leave {EOS} out.")
    if not alone and tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id:
        raise RedvizError(
            f"{name}'s tokenizer writes {tokenizer.eos_token} behind every text already; leave {EOS} out."
        )


def _check_renders(tokenizer: Any, source: str, template: str) -> None:
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), PROBES, strict=True)]
    try:
        text = str(tokenizer.apply_chat_template(turns, chat_template=source, tokenize=False))
    except Exception as error:  # jinja raises its own tree, and templates raise through it
        said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise RedvizError(
            f"The template {template!r} cannot write a prompt and a response ({said}); mend it."
        ) from error
    if PROBES[0] not in text:
        raise RedvizError(f"The template {template!r} loses the prompt; write the content of every turn.")
    if text.count(PROBES[1]) != 1:
        raise RedvizError(
            f"The template {template!r} writes the response {text.count(PROBES[1])} times, and redviz needs it once; mend it."
        )
