"""Compaction and expansion of lists."""

import pytest
import torch

from facekit.geometry.lists import expand, flat_indices, pick, pieces, unique_pairs


def test_places_are_those_of_nonzero_in_flat_order():
    mask = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) < 0.4
    for some in (mask, mask.transpose(0, 2), mask[:, ::2], mask & False):
        assert torch.equal(flat_indices(some), some.reshape(-1).nonzero()[:, 0])
        assert flat_indices(some).dtype == torch.int64


def test_expansion_numbers_the_items_of_each_owner():
    owner, local = expand(torch.tensor([2, 0, 3]))
    assert owner.tolist() == [0, 0, 2, 2, 2] and local.tolist() == [0, 1, 0, 1, 2]
    assert all(t.numel() == 0 for t in expand(torch.zeros(0, dtype=torch.int64)))


def test_picking_takes_the_same_columns_of_every_row():
    table = torch.arange(12).view(3, 4)
    assert torch.equal(torch.stack(pick(table, torch.tensor([3, 0, 3]))), table[:, [3, 0, 3]])


@pytest.mark.parametrize("limit", [1, 4, 7, 100])
def test_pieces_cover_all_items_in_order_within_the_limit(limit):
    counts = torch.tensor([3, 0, 9, 1, 1, 2, 0])
    ranges = list(pieces(counts, limit))
    assert [i for lo, hi in ranges for i in range(lo, hi)] == list(range(7))
    assert all(hi == lo + 1 or int(counts[lo:hi].sum()) <= limit for lo, hi in ranges)


def test_pairs_are_found_once_whichever_way_they_are_given():
    ends = torch.tensor([[4, 1], [0, 2], [1, 4], [2, 0], [3, 4]])
    pairs, index = unique_pairs(ends, 5)
    assert pairs.tolist() == [[0, 2], [1, 4], [3, 4]]
    assert torch.equal(pairs[index], ends.sort(1).values)
    assert unique_pairs(ends[:0], 0)[0].shape == (0, 2)
