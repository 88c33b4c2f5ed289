"""What a strip shows before it is drawn: pooling, limits, the end cell, and what the browser is sent."""

import json
from dataclasses import replace

import numpy as np
import pytest

from redviz.errors import RedvizError
from redviz.view import colour
from redviz.view.lanes import number, shared_limits, signed, strip_of, strip_payload
from tests.browser import analyses


def payload(analysis, **options):
    shape = {k: options.pop(k) for k in ("layout", "text_size", "solo", "group") if k in options}
    return strip_payload(strip_of(analysis, **options), **shape)


def test_a_strip_of_the_worked_example():
    sent = payload(analyses.worked())
    assert sent["units"] == ["The", " film", " is", " superb"]
    assert sent["first"] == [0, 1, 2, 3]
    red = sent["lanes"][0]
    assert red["name"] == "RED"
    assert red["values"] == pytest.approx([0.3, -0.6, 1.0, 0.5])
    assert red["sum"] == pytest.approx(1.2)
    assert red["limit"] == pytest.approx(3 * np.sqrt(1.7 / 4), rel=1e-4)
    assert sent["scores"] == pytest.approx([0.2, 0.5, -0.1, 0.9, 1.4])
    assert sent["end"] is False


def test_the_closing_share_leaves_the_last_unit_and_the_limit_and_stands_in_the_end_cell():
    plain, closed = payload(analyses.worked()), payload(analyses.worked(closing=5.0))
    assert closed["end"] is True
    assert closed["lanes"][0]["values"] == pytest.approx(plain["lanes"][0]["values"])
    assert closed["lanes"][0]["limit"] == pytest.approx(plain["lanes"][0]["limit"])
    assert closed["lanes"][0]["end"] == pytest.approx(5.0)
    assert closed["lanes"][0]["sum"] == pytest.approx(6.2)
    assert closed["lanes"][1]["end"] == 0.0


def test_the_end_cell_follows_where_the_score_is_read_and_nothing_else():
    made = analyses.worked(closing=5.0)
    observation = made.observation
    level = replace(observation, column_scores=observation.column_scores.copy())
    level.column_scores[-1] = level.column_scores[-2]  # read at a closing token that changes nothing
    free = {label: replace(credit, closing=0.0) for label, credit in made.credits.items()}
    assert payload(replace(made, observation=level, credits=free))["end"] is True
    inside = replace(observation, encoding=replace(observation.encoding, read=observation.encoding.stop - 2))
    assert inside.closing != 0
    assert payload(replace(made, observation=inside))["end"] is False


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
def test_pooling_keeps_the_sum_and_every_character(granularity):
    made = analyses.long(200, closing=0.4)
    strip = strip_of(made, granularity=granularity)
    assert "".join(strip.texts) == made.response
    for lane in strip.lanes:
        assert lane.values.sum() + lane.end == pytest.approx(lane.total, abs=1e-5)


def test_an_emoji_of_four_tokens_is_one_cell_that_lists_its_tokens():
    sent = payload(analyses.hostile())
    u = sent["units"].index("🤩")
    assert sent["first"][u + 1] - sent["first"][u] == 4
    assert len(sent["tokens"]) == sent["count"]


def test_tokens_are_not_sent_where_no_unit_has_several():
    assert payload(analyses.worked())["tokens"] is None


def test_one_scale_gives_every_method_the_same_limit():
    own, one = (strip_of(analyses.long(50), scale=scale) for scale in ("own", "one"))
    assert len({lane.limit for lane in own.lanes}) == 3
    assert {lane.limit for lane in one.lanes} == {colour.limit(np.concatenate([lane.values for lane in one.lanes]))}


def test_responses_under_one_method_can_share_a_limit():
    pair = [analyses.long(50, seed=1), analyses.long(90, seed=2)]
    limits = shared_limits(pair, ["red"])
    drawn = [strip_of(a, labels=["red"], limits=limits).lanes[0] for a in pair]
    assert drawn[0].limit == drawn[1].limit == colour.limit(np.concatenate([lane.values for lane in drawn]))


def test_the_signature_changes_with_the_content_and_only_with_it():
    made = analyses.worked()
    assert payload(made)["sig"] == payload(made)["sig"]
    different = [payload(made, layout="stacked"), payload(made, labels=["red"]), payload(analyses.worked(0.1))]
    assert len({payload(made)["sig"], *(p["sig"] for p in different)}) == 4


def test_what_is_not_a_number_travels_as_null():
    made = analyses.drawn(("a", "b"), labels=("red",))
    made.credits["red"].values[0] = np.nan
    sent = payload(made)
    assert sent["lanes"][0]["values"][0] is None
    json.dumps(sent, allow_nan=False)


def test_characters_that_no_token_covers_are_drawn_between_the_cells():
    made = analyses.drawn(("The", "film"), offsets=((0, 3), (4, 8)), response="The film, cut")
    sent = payload(made)
    assert sent["gaps"] == {"1": " "}
    assert sent["rest"] == ", cut"


def test_an_empty_response_has_no_units():
    sent = payload(analyses.analysis_of((), [0.2], {}))
    assert sent["units"] == [] and sent["lanes"] == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"labels": ["shap"]}, "'red', 'abc', 'treg'"),
        ({"layout": "rows"}, "'lanes', 'stacked'"),
        ({"scale": "both"}, "'own', 'one'"),
        ({"solo": "ig"}, "'red', 'abc', 'treg'"),
    ],
)
def test_an_unknown_choice_names_the_valid_ones(options, named):
    with pytest.raises(RedvizError, match=named):
        payload(analyses.worked(), **options)


def test_a_label_that_a_person_chose_is_shown_as_it_is():
    made = analyses.drawn(("a", "b"), labels=("my red", "ig"))
    assert [lane["name"] for lane in payload(made)["lanes"]] == ["my red", "IG"]
    assert payload(made, names={"my red": "Mine"})["lanes"][0]["name"] == "Mine"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "+0.500"), (-0.0123456, "−0.0123"), (np.float32(0.01), "+0.0100"), (0.0, "0"), (1234.5, "+1234"),
     (-2e-7, "−2.00e−07"), (float("nan"), "n/a"), (9.999, "+10.0")],
)  # fmt: skip
def test_numbers_show_their_sign_and_three_digits(value, shown):
    assert signed(value) == shown


def test_a_plain_number_has_no_plus():
    assert number(0.5) == "0.500"
