"""Many rows through a model: which run together, what happens where memory runs out, and in which order results come."""

import pytest
import torch

from redviz.errors import Cancelled, RedvizError
from redviz.models.running.budgets import within
from redviz.models.running.micro_batches import in_batches, padded

LENGTHS = [5, 1, 4, 2, 3]


def ran(budget, most=9, **options):
    """The batches that ran, as lengths, and what was made of each row."""
    batches = []

    def run(rows):
        if len(rows) > most:
            raise torch.OutOfMemoryError
        batches.append([LENGTHS[row] for row in rows])
        return [10 * LENGTHS[row] for row in rows]

    made = in_batches(LENGTHS, budget, run, lambda row: f"Too long: {LENGTHS[row]}.", **options)
    assert made == [10 * length for length in LENGTHS]
    return batches


def test_rows_of_like_length_fill_the_budget_and_one_always_runs():
    assert ran(6) == [[1, 2], [3], [4], [5]]
    assert ran(8) == [[1, 2], [3, 4], [5]]
    assert ran(9) == [[1, 2, 3], [4], [5]] and ran(9, longest_first=True) == [[5], [3, 4], [1, 2]]
    assert within(LENGTHS, 1)([0, 1]) == 1


def test_where_memory_runs_out_batches_stay_small_and_one_row_is_refused_by_its_sentence():
    told = []
    assert ran(99, most=2, progress=lambda *at: told.append(at)) == [[1, 2], [3, 4], [5]]
    assert told == [(0, 5), (0, 5), (2, 5), (4, 5), (5, 5)]
    with pytest.raises(RedvizError, match=r"^Too long: 1\.$"):
        ran(99, most=0)


def test_progress_may_cancel_between_passes():
    def stop(done, total):
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        ran(6, progress=stop)


@pytest.mark.parametrize(("side", "row", "seen"), [("right", [7, 9, 9], [1, 0, 0]), ("left", [9, 9, 7], [0, 0, 1])])
def test_padding_is_masked_on_either_side(side, row, seen):
    ids, mask = padded([[7], [1, 2, 3]], 9, side)
    assert ids.tolist() == [row, [1, 2, 3]] and mask.tolist() == [seen, [1, 1, 1]]
