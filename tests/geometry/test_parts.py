"""Parts of a head by their names."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.geometry.parts import among


def test_parts_are_found_by_name_in_any_shape_and_type():
    parts = torch.tensor([[PARTS.index("lips"), PARTS.index("eyes")], [PARTS.index("neck"), PARTS.index("lips")]])
    wanted = torch.tensor([[True, False], [True, True]])
    for kind in (torch.uint8, torch.int64):
        assert torch.equal(among(parts.to(kind), ("lips", "neck")), wanted)
    assert not among(parts, ("teeth",)).any()
    with pytest.raises(ValueError):
        among(parts, ("horns",))
