"""Checks of what stands around the response, and of what came with the checkpoint."""

from __future__ import annotations

import torch

from redviz.evaluation.conformance.checks import Finding, Subject, native_column
from redviz.models.families.table import ABOUT
from redviz.models.reading.templates import adds_tokens, writes_date


def weights(given: Subject) -> Finding:
    """Loading refuses weights the checkpoint lacks; here: those it has are numbers, and the head tells texts apart."""
    module = given.model.module
    parameters = dict(module.named_parameters())
    floating = {name: p.detach() for name, p in parameters.items() if p.is_floating_point() and p.numel()}
    # The extremes are NaN where one number is, and come at a tenth of the price of asking each.
    broken = [name for name, p in floating.items() if not bool(torch.isfinite(torch.stack(torch.aminmax(p))).all())]
    if broken:
        listed = ", ".join(broken[:3]) + (" …" if len(broken) > 3 else "")
        figure = f"{len(broken)} of {len(parameters)} weight tensors hold infinite or undefined numbers: {listed}"
        return Finding(
            "red", figure, "Download or save the checkpoint again; try another dtype (float16 may overflow)."
        )
    if len({round(o.score, 6) for o in given.observations}) == 1:
        figure = f"every text scores {given.observations[0].score:.4g}"
        return Finding("red", figure, "The head is constant; use the checkpoint that was trained as a reward model.")
    return Finding(
        "green",
        f"all {len(parameters)} weight tensors were in the checkpoint; loading refuses new ones and unused ones",
    )


def family(given: Subject) -> Finding:
    """Whether Transformers' own class is read, or an adapter that follows published code and was not run on published weights."""
    name = given.model.source.family
    if not name:
        figure = f"{type(given.model.module).__name__} of Transformers, with its own head and reading rule"
        return Finding("green", figure)
    known = ABOUT[name]
    figure = f"{known.title}: {known.about} It follows {known.source}; {known.verified}"
    return Finding("amber", figure, "Compare one score with the authors' own code before you rely on it.")


def bos_tokens(given: Subject) -> Finding:
    """How many BOS tokens start the text, and what the tokenizer would do to templated text by itself."""
    tokenizer, encoding = given.model.tokenizer, given.encodings[0]
    bos = tokenizer.bos_token_id
    if bos is None:
        return Finding("green", "the tokenizer has no BOS token")
    count = 0
    while count < len(encoding.ids) and encoding.ids[count] == bos:
        count += 1
    name = f"{tokenizer.bos_token!r}"
    if count > 1:
        remedy = (
            "A model is rarely trained so: take it out of the chat template, unless this model's card says otherwise."
        )
        return Finding("amber", f"{count} BOS tokens {name} start the text", remedy)
    adds = tokenizer("a", add_special_tokens=True)["input_ids"][:1] == [bos]
    if count == 0 and adds:
        figure = f"no BOS token starts the text, though the tokenizer writes {name} before plain text"
        return Finding(
            "amber", figure, "Check the model's card: its chat template may lack the BOS token it was trained with."
        )
    figure = f"{count} BOS token{'s'[: count != 1]} {name} start{'s'[: count == 1]} the text"
    if count and adds and not adds_tokens(tokenizer):
        figure += "; tokenized again with add_special_tokens, templated text would get a second one (redviz does not)"
    return Finding("green", figure)


def pad_is_eos(given: Subject) -> Finding:
    """Whether the model's own read stands left of the last token because that token is its pad id."""
    model = given.model
    if model.first:
        figure = f"the score is read at the first token {given.encodings[0].pieces[0]!r}, which is never padding"
        return Finding("green", figure, title="The score is read at the first token")
    if model.own_forward:
        figure = "the score is what the model's own forward gives to a whole text, wherever it reads"
        return Finding("green", figure, title="The score is read by the model's own forward")
    if model.pooled:
        figure = "the score is read from the mean of all tokens that are not padding"
        return Finding("green", figure, title="The score is read from the mean of all tokens")
    last = [len(e.ids) - 1 for e in given.encodings]
    own = [native_column(model, e.ids) for e in given.encodings]
    same = "" if model.pad_id is None or model.pad_id != model.tokenizer.eos_token_id else "; pad and eos are one token"
    if own == last:
        return Finding("green", f"the score is read at the last token{same}")
    encoding, observation = given.encodings[0], given.observations[0]
    token = encoding.pieces[last[0]]
    moved = abs(float(observation.column_scores[last[0]] - observation.column_scores[own[0]]))
    if model.read == "last":
        figure = (
            f"the score is read at the last token {token!r} as asked; the model's own forward takes that for padding "
            f"and reads {last[0] - own[0]} to its left, {moved:.2g} away{same}"
        )
        return Finding("green", figure)
    figure = (
        f"the model takes the last token {token!r} for padding and reads {last[0] - own[0]} to its left, "
        f"{moved:.2g} away from the score at the last token{same}"
    )
    return Finding("amber", figure, 'redviz follows the model; --read last (read="last") reads the last token.')


def closing_tokens(given: Subject) -> Finding:
    """How many tokens the template writes after the response, and where the score is read. For information."""
    encoding = given.encodings[0]
    pieces = encoding.pieces[encoding.stop :]
    after = encoding.read - (encoding.stop - 1)
    place = (
        f"the first token {encoding.pieces[0]!r}"
        if given.model.first
        else "the response's last token"
        if after == 0
        else f"token {after} of these"
        if after > 0
        else "a token before its end"
    )
    if not pieces:
        return Finding("green", f"nothing; the score is read at {place}")
    listed = " ".join(repr(piece) for piece in pieces[:8]) + (" …" if len(pieces) > 8 else "")
    adds = given.observations[0].closing
    count = f"{len(pieces)} token{'s'[: len(pieces) != 1]}"
    figure = f"{count}: {listed}; the score is read at {place}; "
    figure += "every prefix is closed by them" if given.model.both_ways else f"they add {adds:+.3g} here"
    return Finding("green", figure)


def eos(given: Subject) -> Finding:
    """Whether the tokenizer's EOS follows the response; trainers append it to texts without a template, and read the score at it."""
    model, encoding = given.model, given.encodings[0]
    tokenizer = model.tokenizer
    name, after = tokenizer.eos_token, encoding.ids[encoding.stop :]
    if name is None:
        return Finding("green", "the tokenizer has no EOS token")
    if tokenizer.eos_token_id in after:
        return Finding("green", f"the tokenizer's EOS token {name} follows the response")
    if model.both_ways or model.pooled or (model.read == "model" and model.pad_id == tokenizer.eos_token_id):
        return Finding("green", f"no EOS token {name} follows the response, and the score would not be read at it")
    if model.source.template or model.source.family:
        return Finding("green", f"no EOS token {name} follows the response, as its text was given")
    remedy = f'If it was trained with {name} behind every text, load it with --template own+eos (template="own+eos").'
    if tokenizer.chat_template is None:
        figure = (
            f"there is no chat template, and the text ends without the EOS token {name}; TRL's RewardTrainer and OpenRLHF append "
            "it to such texts in training, and read the score there"
        )
        return Finding("amber", figure, remedy)
    figure = f"the tokenizer's EOS token {name} stands nowhere in what the chat template writes after the response"
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    closed = not special.isdisjoint(after.tolist())
    return Finding("green", figure) if closed else Finding("amber", figure, remedy)


def date(given: Subject) -> Finding:
    """Whether the chat template writes the day's date."""
    if not writes_date(given.model.tokenizer):
        return Finding("green", "the text of a conversation is the same on every day")
    figure = "the chat template writes today's date: the text, and with it every score, changes from day to day under one template hash"
    return Finding(
        "amber",
        figure,
        "Save it as a Jinja file with one date, such as that of the training, and give it as --template.",
    )


def trained_length(given: Subject) -> Finding:
    """Up to which length the model was trained, where its config says so. For information."""
    model = given.model
    if model.trained_length is None:
        return Finding("green", f"the checkpoint does not say; it reads up to {model.max_length} tokens")
    figure = f"trained on texts of up to {model.trained_length} of the {model.max_length} tokens it reads"
    return Finding("green", figure + ("; longer texts get a notice" if model.trained_length < model.max_length else ""))
