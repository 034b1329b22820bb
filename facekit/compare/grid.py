"""Grid of faces: each is made and rendered once, and kept at the size used for measurements."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from facekit.compare import figures, pages
from facekit.compare.axes import Axis
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import expanded
from facekit.geometry.mip import halve
from facekit.latents import FaceLatents
from facekit.metrics.geometry import wrinkle_amplitude
from facekit.metrics.identity import proportions
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.report import Section, Table, write_report
from facekit.viz.sheets import render_faces

if TYPE_CHECKING:
    from facekit.render import Camera

_CODES = ("seed", "truncation", "latents", "expression", "intensity")
_OPTIONS = ("detail", "detail_strength")
# Number of faces made at once: more is not faster on a CPU and costs memory.
_CHUNK = 4
# Largest side of kept maps: textures are measured at this size, and sixty faces take under half a gigabyte.
_KEPT = 512


@dataclass(frozen=True, eq=False)
class Cell:
    """One face of a comparison.

    Parameters
    ----------
    row, column:
        Names of its row and column.
    settings:
        Settings that it was made with.
    face:
        FaceOutput with B = 1 on the CPU, its maps at no more than 512².
    picture:
        (3, H, W) float32 sRGB in [0, 1].
    proportions:
        (P,) from :func:`facekit.metrics.identity.proportions`, after subtracting the model's mean expression.
    wrinkles:
        :func:`facekit.metrics.geometry.wrinkle_amplitude` in mm, None without detail.
    """

    row: str
    column: str
    settings: dict[str, Any]
    face: FaceOutput
    picture: torch.Tensor
    proportions: torch.Tensor
    wrinkles: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of :func:`grid`.

    Parameters
    ----------
    title:
        Title for pages and report.
    rows, columns:
        Names in order.
    cells:
        ``cells[i][k]`` is the face in row i and column k.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def __iter__(self) -> Iterator[Cell]:
        return (cell for row in self.cells for cell in row)

    def page(self, theme: str = "dark") -> Image.Image:
        """Return the page of faces in rows and columns."""
        return pages.face_page(self, theme)

    def differences(self, kind: str = "displacement", against: str | None = None, theme: str = "light") -> Image.Image:
        """Draw the change from each face to its neighbour, as heat maps on the mesh.

        Parameters
        ----------
        kind:
            ``"displacement"``: displacement of the surface in mm, with detail; ``"texture"``: delta E of the albedo.
        against:
            ``"left"`` or ``"above"``: that neighbour; ``"first"``: the row's first face. By default the left one if
            rows sweep the intensity, the one above if rows have a single face, else the first one.
        """
        return pages.difference_page(self, kind, against, theme)

    @functools.cached_property
    def table(self) -> Table:
        """Figures of every face and of every row, explained in :data:`facekit.compare.figures.EXPLANATIONS`."""
        return figures.measure(self)

    def save(self, folder: str | Path) -> list[Path]:
        """Write pages as PNG, the table as ``figures.csv`` and everything as one ``report.html``.

        Returns
        -------
        list[Path]
            The files, the report last.
        """
        folder = expanded(folder)
        pictures = {"faces": ("The faces", self.page("light"))}
        for against in pages.directions(self):
            for kind, name in pages.KINDS.items():
                title = f"{name}: against {pages.NEIGHBOURS[against]}"
                pictures[f"{kind}_{against}"] = (title, self.differences(kind, against))
        files = []
        for name, (_, picture) in pictures.items():
            files.append(pages.write(picture, folder / f"{name}.png"))
        files.append(self.table.save(folder / "figures.csv"))
        sections: list[Section] = list(pictures.values())
        sections.insert(1, ("Figures", self.table))
        sections.append(("What the figures are", figures.EXPLANATIONS))
        return [*files, write_report(folder / "report.html", self.title, sections)]


def grid(
    pipe: FacePipeline,
    rows: Axis,
    columns: Axis,
    title: str = "Comparison",
    image_size: int = 256,
    camera: Camera | None = None,
    lights: str = "studio",
    **fixed: Any,
) -> Comparison:
    """Make and render every combination of rows and columns.

    Parameters
    ----------
    pipe:
        Pipeline, unless an axis sets another one.
    rows, columns:
        Axes, see :mod:`facekit.compare.axes`; columns override rows.
    image_size, camera, lights:
        Size, camera and lights of the pictures; by default a frontal close-up.
    fixed:
        Settings for all, for instance ``seed=7``, ``expression="anger"``, ``detail=False``.

    Raises
    ------
    InputError
        If an axis is empty or a setting is unknown.
    """
    settings = {}
    for row, own in _checked(rows, "rows").items():
        for column, more in _checked(columns, "columns").items():
            settings[row, column] = _checked_settings({"pipe": pipe, "seed": 7, **fixed, **own, **more})
    groups: dict[Any, list[tuple[str, str]]] = {}
    for place, setting in settings.items():
        options = tuple((name, setting[name]) for name in _OPTIONS if name in setting)
        groups.setdefault((setting["pipe"], options), []).append(place)
    batches = [
        (maker, dict(options), places[k : k + _CHUNK])
        for (maker, options), places in groups.items()
        for k in range(0, len(places), _CHUNK)
    ]
    cells = {}
    with torch.inference_mode():
        for maker, options, places in progress(batches, desc="faces"):
            codes = FaceLatents.cat([_codes(settings[place]) for place in places])
            faces = maker(latents=codes, **options)
            pictures = render_faces(faces, camera, image_size, lights=lights)
            shapes = proportions(_neutral_landmarks(maker, faces)).cpu()
            wrinkles = wrinkle_amplitude(faces)
            for k, place in enumerate(places):
                depth = None if wrinkles is None else float(wrinkles[k])
                kept = _kept(faces[k])
                row, column = place
                cells[place] = Cell(row, column, settings[place], kept, pictures[k].clone(), shapes[k], depth)
    table = tuple(tuple(cells[row, column] for column in columns) for row in rows)
    return Comparison(title, tuple(rows), tuple(columns), table)


def _checked(axis: Axis, name: str) -> Axis:
    if not isinstance(axis, Mapping) or not axis or not all(isinstance(value, Mapping) for value in axis.values()):
        expected = f"{name} as names with their settings, at least one"
        raise InputError(expected, repr(axis)[:80], 'pass for instance {"a smile": {"expression": "smile"}}')
    return axis


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    known = ("pipe", *_CODES, *_OPTIONS)
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise InputError(f"settings out of {', '.join(known)}", ", ".join(map(repr, unknown)), "use these names")
    return settings


def _codes(settings: Mapping[str, Any]) -> FaceLatents:
    codes = settings.get("latents")
    if codes is None:
        codes = FaceLatents.sample(settings["seed"], truncation=settings.get("truncation", 1.0))
    if len(codes) != 1:
        raise InputError("latents of one face", f"{len(codes)} faces", "pick one with latents[i]")
    if "expression" in settings or "intensity" in settings:
        codes = codes.with_expression(settings.get("expression", "neutral"), settings.get("intensity", 1.0))
    return codes.to("cpu")


def _neutral_landmarks(pipe: FacePipeline, faces: FaceOutput) -> torch.Tensor:
    """Return landmarks (B, 68, 3) in mm minus the displacement by the same expression of the model's mean face."""
    mean = FaceLatents.sample(0, truncation=0.0).repeat(len(faces))
    posed = dataclasses.replace(mean, expression=faces.latents.expression.cpu())
    with torch.no_grad():
        both = pipe.decode(FaceLatents.cat([mean, posed]), texture=False, detail=False).verts
    landmarks = faces.mesh.landmarks
    neutral, moved = both[:, landmarks].split(len(faces))
    return faces.verts[:, landmarks] - (moved - neutral)


def _kept(face: FaceOutput) -> FaceOutput:
    maps = {}
    for name in ("texture", "displacement"):
        value = getattr(face.mesh, name)
        while value is not None and max(value.shape[2:]) > _KEPT:
            value = halve(value)
        maps[name] = None if value is None else value.clone()
    mesh = dataclasses.replace(face.mesh, verts=face.mesh.verts.clone(), **maps)
    return dataclasses.replace(face, mesh=mesh, detail=None, source=None).to("cpu")
