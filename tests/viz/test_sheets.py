"""Contact sheets: size, place of the pictures, labels, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError
from facekit.progress import progress
from facekit.viz import sheets


def colours(count: int, size: int = 32) -> torch.Tensor:
    """(count, 3, size, size): each picture in one colour of its own."""
    shades = torch.linspace(0.2, 0.9, count)
    return torch.stack([shades, shades.flip(0), torch.full((count,), 0.5)], dim=1)[..., None, None].expand(
        -1, -1, size, size
    )


@pytest.mark.parametrize(("count", "columns"), [(1, 5), (7, 3), (20, 5)])
def test_every_picture_is_on_the_page_in_order(count, columns):
    page = np.asarray(sheets.contact_sheet(colours(count), columns=columns, cell_size=32))
    wanted = (colours(count)[:, :, 0, 0] * 255 + 0.5).byte().numpy()
    places = []
    for colour in wanted:
        rows, cols = np.nonzero((page == colour).all(axis=-1))
        assert len(rows) >= 0.9 * 32 * 32
        places.append((int(rows.min()) // 32, int(cols.mean())))
    assert places == sorted(places)


def test_labels_and_titles_are_drawn_and_fit():
    pictures = colours(4, 64)
    plain = sheets.contact_sheet(pictures, columns=2, cell_size=64)
    labelled = sheets.contact_sheet(
        pictures, ["a", "b", "c", "a label that is far too long for its cell"], 2, "Title", "subtitle", 64
    )
    assert labelled.height > plain.height
    assert labelled.width == plain.width
    text = np.asarray(labelled)[: labelled.height // 5]
    assert len(np.unique(text[..., 0])) > 20, "antialiased text has many greys"


@pytest.mark.parametrize("theme", sorted(sheets.THEMES))
def test_text_can_be_read(theme):
    colours_ = sheets.THEMES[theme]
    for name in ("text", "muted"):
        contrast = abs(sum(getattr(colours_, name)) - sum(colours_.page)) / 3
        assert contrast > 90


def test_pictures_of_all_kinds():
    arrays = [np.zeros((8, 8, 3), np.uint8), Image.new("RGB", (8, 8))]
    assert sheets.contact_sheet(arrays, cell_size=16).mode == "RGB"


@pytest.mark.parametrize(
    "options",
    [{"labels": ["a"]}, {"levels": [0.5]}, {"theme": "pink"}, {"columns": 0}, {"cell_size": 1}],
)
def test_refusals(options):
    with pytest.raises(InputError):
        sheets.contact_sheet(colours(3), **options)


def test_no_pictures_and_unequal_ones_are_refused():
    with pytest.raises(InputError, match="none"):
        sheets.contact_sheet([])
    with pytest.raises(InputError, match="one size"):
        sheets.contact_sheet([Image.new("RGB", (8, 8)), Image.new("RGB", (9, 8))])


def test_sheets_of_faces(tiny_sweep):
    assert sheets.expression_sheet(tiny_sweep, image_size=32, cell_size=32).width > 5 * 32
    steps = dataclasses.replace(tiny_sweep[:4], metadata={"expression": "smile", "intensity": [0.0, 0.5, 1.0, 1.5]})
    page = sheets.intensity_strip(steps, colours(4), cell_size=64)
    accent = sheets.THEMES["dark"].accent
    assert (np.asarray(page) == accent).all(axis=-1).any(), "a bar shows the intensity"
    assert list(tiny_sweep.metadata["expression"]) == list(EXPRESSIONS)


def test_the_right_batch_is_asked_for(tiny_face):
    with pytest.raises(InputError, match="sweep_intensity"):
        sheets.intensity_strip(tiny_face)
    with pytest.raises(InputError, match="sweep_expressions"):
        sheets.expression_sheet(tiny_face)


def test_progress_passes_everything_on():
    assert list(progress(range(5), desc="five")) == [0, 1, 2, 3, 4]
