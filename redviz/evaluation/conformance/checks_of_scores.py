"""Checks that run the model: its scores, padding and batches, prefixes, and the sums of the credits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
import torch

from redviz.credit.choices import FIRST_STEPS, STEP_CAP
from redviz.credit.ingredients import credit_of, why_not
from redviz.credit.recipes import Recipe, recipes
from redviz.errors import RedvizError
from redviz.evaluation.conformance.checks import (
    THOROUGHLY,
    Finding,
    Subject,
    graded,
    largest,
    long_encoding,
    native_column,
    native_score,
    tolerance,
    working_parameters,
)
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.loading.precision import EIGHT_BITS, QUANTISED
from redviz.models.running.both_ways import Row, prefix_row, rows_scores
from redviz.models.running.layer_kinds import carries_state
from redviz.models.running.observe import observe
from redviz.records import Array, Encoding, Observation

LENGTHS = (64, 128, 256, 512, 1024)  # verified at the longest that the budget allows, where the context does
COPY_BYTES = 8 * 2**30  # the largest float32 copy made to measure rounding


def own_score(given: Subject) -> Finding:
    """The score redviz shows against the model's own forward, with Transformers' attention, at batch size one."""
    model = given.model
    if model.both_ways:
        ours = [o.score for o in given.observations]
        theirs = [native_score(model, Row.of(model, encoding)) for encoding in given.encodings]
    else:
        ours = [o.column_scores[native_column(model, o.encoding.ids)] for o in given.observations]
        theirs = [native_score(model, encoding.ids) for encoding in given.encodings]
    difference = largest([(np.array(ours), np.array(theirs))])
    verdict = graded(difference, tolerance(model, _joined(given.observations)))
    figure = f"largest difference {difference:.1e} over {len(ours)} texts; scores spread by {_spread(given):.2g}"
    remedy = "Do not use the credits; report the model's name, its versions and this card to redviz."
    return Finding(verdict, figure, "" if verdict == "green" else remedy)


def batching(given: Subject) -> Finding:
    """Each text alone against all in one right-padded batch."""
    together = observe(given.model, given.encodings)
    return _same(given, together, "Analyze with a batch size of 1; float32 (--dtype float32) often mends it.")


def padding(given: Subject) -> Finding:
    """Each text alone against all in one left-padded batch."""
    if given.model.both_ways:
        figure = "padded on the right only: the model looks both ways and counts positions from column 0"
        return Finding("green", figure, title="Padding goes to the right")
    left = observe(given.model, given.encodings, side="left")
    return _same(given, left, "Pad on the right only: the model ignores the mask or the position ids.")


def _same(given: Subject, others: Sequence[Observation], remedy: str) -> Finding:
    both = given.model.both_ways  # then only the prefixes' columns have scores
    pairs = [
        (a.prefix_scores, b.prefix_scores) if both else (a.column_scores, b.column_scores)
        for a, b in zip(given.observations, others, strict=True)
    ]
    difference = largest(pairs)
    verdict = graded(difference, tolerance(given.model, _joined(given.observations)))
    lengths = ", ".join(str(len(e.ids)) for e in given.encodings)
    figure = f"largest difference {difference:.1e} at any token of texts of {lengths} tokens"
    return Finding(verdict, figure, "" if verdict == "green" else remedy)


def causality(given: Subject) -> Finding:
    """Change the last token and look whether an earlier hidden state moves."""
    model, ids = given.model, given.encodings[0].ids
    if model.own_forward:
        figure = "prefixes are scored one by one, each by the model's own forward"
        return Finding("green", figure, title="Every prefix is a text of its own")
    changed = ids.copy()
    changed[-1] = ids[0] if ids[0] != ids[-1] else ids[given.encodings[0].start]
    with torch.inference_mode():
        pair = [
            model.run(input_ids=torch.as_tensor(i[None], device=model.device), use_cache=False)
            .last_hidden_state[0]
            .float()
            for i in (ids, changed)
        ]  # 2 x [L, D]
    moved = (pair[0] - pair[1])[:-1].abs().max() / pair[0].std()
    if model.both_ways:
        figure = (
            "both ways: prefixes are scored one by one, for a change of the last token moves earlier hidden states by "
            f"{float(moved):.2g} of their spread"
        )
        return Finding("green", figure, title="Every token sees the whole text, and every prefix is scored alone")
    if float(moved) <= 1e-3:
        return Finding("green", f"causal: a change of the last token moves earlier hidden states by {float(moved):.1e}")
    if model.source.dtype == "8bit":
        figure = (
            f"in 8 bits tokens share outlier columns: a change of the last one moves earlier hidden states by {float(moved):.2g} "
            "of their spread"
        )
        return Finding("red", figure, EIGHT_BITS)
    return Finding(
        "red",
        f"both ways: a change of the last token moves earlier hidden states by {float(moved):.2g} of their spread",
        "Prefix scores of one pass mean nothing here; use a causal checkpoint.",
    )


def prefix_consistency(given: Subject) -> Finding:
    """Prefix scores of one pass against truncated texts under the model's own forward, in texts of growing length."""
    model, short = given.model, given.encodings[0]
    budget = given.effort.budget("prefix_consistency", model.device)
    marks = [mark for mark in landmarks(model) if mark.at < model.max_length]
    wanted = min(model.trained_length or LENGTHS[-1], model.max_length)
    plain = max((n for n in (*LENGTHS, wanted) if n <= wanted and operations(model, n) <= budget), default=0)
    targets = {plain, *(mark.at for mark in marks), *(min(mark.beyond, model.max_length) for mark in marks)}
    verified, worst, points = 0, 0.0, 0
    for length in [len(short.ids), *sorted(n for n in targets if n > len(short.ids))]:
        if verified and operations(model, length) > budget:
            break
        given.effort.beat()
        try:
            encoding = long_encoding(model, length) if verified else short
            difference, allowed, count = _truncated(model, encoding)
        except torch.OutOfMemoryError:
            break
        if not difference <= allowed:
            figure = f"differs by {difference:.1e} in a text of {length} tokens; agrees in texts of up to {verified}"
            remedy = f"Load it with --max-length {verified}." if verified else "Use neither red nor prefix scores here."
            return Finding("red", figure, remedy, verified)
        verified, worst, points = length, max(worst, difference), points + count
    reach = f"in texts of up to {verified} of {model.max_length} tokens"
    figure = f"largest difference {worst:.1e} at {points} cut points, {reach}"
    if crossed := [mark.name for mark in marks if verified > mark.at]:
        figure += f"; beyond {' and '.join(crossed)}"
    if verified < wanted:
        figure += f"; texts of {wanted} tokens were left out" + ("" if given.effort.thorough else f": {THOROUGHLY}")
    if missed := [mark.name for mark in marks if verified <= mark.at]:
        how = "check on a larger machine" if given.effort.thorough else THOROUGHLY
        remedy = f"Not measured beyond {' and '.join(missed)}: {how} before trusting longer texts."
        return Finding("amber", figure, remedy, verified)
    return Finding("green", figure, "", verified)


def _truncated(model: RewardModel, encoding: Encoding) -> tuple[float, float, int]:
    """The largest difference over a handful of cut points, what is allowed, and how many there were."""
    if model.both_ways:
        return _truncated_one_by_one(model, encoding)
    scores = observe(model, [encoding], attention=False)[0].column_scores  # [L]
    size = encoding.stop - encoding.start
    cuts = {encoding.start - 1, encoding.start + size // 3, encoding.start + 2 * size // 3, encoding.stop - 1}
    columns = sorted({native_column(model, encoding.ids[: cut + 1]) for cut in cuts})
    theirs = np.array([native_score(model, encoding.ids[: c + 1]) for c in columns])
    prefix = scores[encoding.start - 1 : encoding.stop]  # [T+1]
    return largest([(scores[columns], theirs)]), tolerance(model, prefix), len(columns)


def _truncated_one_by_one(model: RewardModel, encoding: Encoding) -> tuple[float, float, int]:
    """The same for a model that looks both ways: prefixes in one padded batch against each alone under the model's own forward."""
    size = encoding.stop - encoding.start
    rows = [prefix_row(model, encoding, t) for t in sorted({0, size // 3, 2 * size // 3, size})]
    ours, theirs = rows_scores(model, rows), np.array([native_score(model, row) for row in rows])
    return largest([(ours, theirs)]), tolerance(model, ours), len(rows)


@dataclass(frozen=True)
class Landmark:
    """A length at which a model changes how it reads, and one well beyond it."""

    name: str
    at: int
    beyond: int


def landmarks(model: RewardModel) -> list[Landmark]:
    """The sliding window and the original contexts that the config names."""
    config = model.module.config.get_text_config()
    marks = []
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    if window and any("sliding" in kind for kind in kinds):
        marks.append(Landmark(f"the sliding window of {window}", window, window + window // 2 + 16))
    for original in sorted(_original_contexts(getattr(config, "rope_parameters", None))):
        marks.append(Landmark(f"the original context of {original}", original, original + original // 8 + 16))
    return marks


def _original_contexts(rope: Any) -> set[int]:
    """``original_max_position_embeddings`` of a RoPE config, which mixed models keep per kind of layer."""
    if not isinstance(rope, dict):
        return set()
    own = {int(rope["original_max_position_embeddings"])} if rope.get("original_max_position_embeddings") else set()
    return own.union(*(_original_contexts(value) for value in rope.values()))


def operations(model: RewardModel, length: int) -> float:
    """About how many floating-point operations the check of one length takes: our pass and the truncated ones."""
    config = model.module.config.get_text_config()
    square = 4 * config.num_hidden_layers * config.hidden_size * length**2
    return 3.0 * (2 * working_parameters(model.module) * length + square)


def sums(given: Subject) -> Finding:
    """What each method promises against what its credits add up to, and its total against the model's own score."""
    model = given.model
    summing = _summing(given)
    own = {place: _own_score(given, place) for place in {place for recipe, place in summing.values() if recipe}}
    verdicts, parts, remedies = [], [], []
    for label, (recipe, place) in summing.items():
        if recipe is None:
            verdicts.append("amber")
            parts.append(f"{label} not measured")
            remedies.append(
                f"{label} is too long a run for this check here; its own residual is shown with every analysis."
            )
            continue
        observation = given.observations[place]
        near = tolerance(model, observation.prefix_scores)
        credit = credit_of(observation, recipe, {"model": model}, lambda done, total: given.effort.beat())
        residual = credit.residual
        if residual is None or credit.total is None:
            raise RedvizError(f"{label} promises no sum.")
        size = float(np.abs(credit.values).sum()) + abs(credit.total)
        allowed = float(credit.meta.get("tolerance", 1e-5 * size))
        verdict = "green"
        if not abs(residual) <= allowed:
            iterates = "steps" in credit.meta  # its residual is shown with every credit, and more steps make it small
            verdict = "amber" if iterates else "red"
            limited = iterates and recipe.options.get("steps") is not None
            more = f"Give {label} more steps" + (f", or {THOROUGHLY}." if limited else ".")
            remedies.append(more if iterates else f"Do not use {label}; report this card to redviz.")
        known = own[place]
        if not abs(credit.total - known) <= near:
            verdict = "red"
            remedies.append(
                f"{label} explains {credit.total:.4g}, but the model's score is {known:.4g}; report this to redviz."
            )
        verdicts.append(verdict)
        parts.append(
            f"{label} {residual:+.1e}"
            + (f" at {credit.meta['steps']} steps" if "steps" in credit.meta else "")
            + (" on the shortest text" if place else "")
        )
    worst = max(verdicts, key=("green", "amber", "red").index)
    return Finding(worst, f"residuals: {', '.join(parts)}; score {given.observations[0].score:.4g}", " ".join(remedies))


def _own_score(given: Subject, place: int) -> float:
    """The score of one of the texts by the model's own forward; as redviz reads it where that reads elsewhere."""
    model, encoding = given.model, given.encodings[place]
    if model.both_ways:
        return native_score(model, Row.of(model, encoding))
    if encoding.read == native_column(model, encoding.ids):
        return native_score(model, encoding.ids)
    return given.observations[place].score


def _summing(given: Subject) -> dict[str, tuple[Recipe | None, int]]:
    """The methods whose sum is checked, and on which text: integrated gradients, where the budget asks for it, on the shortest, with
    as many steps as it affords; None where that is too few.
    """
    hides = given.model.both_ways or given.model.pooled  # DeBERTa shows no attention, and of a mean no row is read
    hides = hides or carries_state(given.model.module)  # not every layer has weights, and the last may be one without
    shows = not why_not(given.observations[0], recipes(["abc"])["abc"]) or not hides
    exact = recipes(["sparse", "uniform", "red", *(["abc"] if shows else [])])
    shortest = min(range(len(given.encodings)), key=lambda place: len(given.encodings[place].ids))
    affordable = {place: _steps(given, place) for place in (0, shortest)}
    iterated: tuple[Recipe | None, int]
    if affordable[0] >= 2 * STEP_CAP:
        iterated = recipes(["ig"])["ig"], 0
    elif affordable[shortest] >= FIRST_STEPS:
        iterated = recipes({"ig": {"steps": int(min(affordable[shortest], 4 * FIRST_STEPS))}})["ig"], shortest
    else:
        iterated = None, shortest
    return {**{label: (recipe, 0) for label, recipe in exact.items()}, "ig": iterated}


def _steps(given: Subject, place: int) -> float:
    """How many steps of integrated gradients the budget affords on one of the texts: a forward and a backward pass each."""
    model, encoding = given.model, given.encodings[place]
    tail = len(encoding.ids) - (0 if model.both_ways else encoding.start)
    return given.effort.budget("ig", model.device) / (6.0 * working_parameters(model.module) * tail)


def rounding(given: Subject) -> Finding:
    """How far the steps between prefix scores move when the trunk is run in float32."""
    model = given.model
    if model.source.dtype in QUANTISED:
        remedy = "Compare a few scores with those of the whole weights, at --dtype bfloat16."
        return Finding("amber", f"loaded in {model.source.dtype}; not compared with the whole weights", remedy)
    if model.dtype == torch.float32:
        return Finding("green", "the model runs in float32")
    name = str(model.dtype).removeprefix("torch.")
    remedy = "Load with --dtype float32 where it fits."
    size = 4 * _parameters(model)
    if size > min(COPY_BYTES, _free_bytes(model.device) // 2):
        figure = f"not measured: the model runs in {name}, and a float32 copy takes {size / 2**30:.1f} GiB"
        return Finding(
            "amber", figure, "Differences between tokens near the rounding of the score mean nothing. " + remedy
        )
    exact = replace(model, module=copy.deepcopy(model.module).float())
    before = np.diff(given.observations[0].prefix_scores)  # [T]
    after = np.diff(observe(exact, [given.encodings[0]], attention=False)[0].prefix_scores)  # [T]
    share = float(np.abs(before - after).max() / after.std())
    verdict = "green" if share <= 0.1 else "amber" if share <= 1 else "red"
    figure = f"{name} moves a step between prefix scores by up to {share:.0%} of the steps' spread"
    return Finding(verdict, figure, "" if verdict == "green" else remedy)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _parameters(model: RewardModel) -> int:
    return int(sum(p.numel() for p in model.module.parameters()))


def _joined(observations: Sequence[Observation]) -> Array:
    return np.concatenate([o.prefix_scores for o in observations])


def _spread(given: Subject) -> float:
    return float(_joined(given.observations).std())
