"""Recipe: definition of a set of labelled pictures as one typed, validated document."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from facekit.checks import did_you_mean
from facekit.errors import FileError, InputError, optional_import
from facekit.generate.choices import (
    Augment,
    BackgroundChoice,
    CameraChoice,
    Clip,
    Expression,
    LightChoice,
    Occluders,
    People,
    Pose,
    need,
)

#: Labels of a sample besides its numbers.
LABELS = ("rgb", "mask", "depth", "normals", "albedo", "uv", "landmarks", "landmarks478")
PRESETS = ("portrait", "wild", "video")


@dataclass(frozen=True)
class Recipe:
    """Definition of a set of labelled pictures.

    Parameters
    ----------
    size:
        Side of the pictures in pixels.
    quality:
        "standard" or "high", see :func:`facekit.render.render`.
    detail:
        Whether faces have pores and wrinkles.
    hair:
        Whether people have hair and lashes.
    labels:
        Names from :data:`LABELS`; numbers (camera, pose, expression, …) are always included.

    Raises
    ------
    InputError
        If a number is out of range or a name is unknown.
    """

    size: int = 256
    quality: str = "standard"
    detail: bool = True
    hair: bool = True
    labels: tuple[str, ...] = ("rgb", "mask", "landmarks")
    people: People = field(default_factory=People)
    expression: Expression = field(default_factory=Expression)
    pose: Pose = field(default_factory=Pose)
    camera: CameraChoice = field(default_factory=CameraChoice)
    light: LightChoice = field(default_factory=LightChoice)
    background: BackgroundChoice = field(default_factory=BackgroundChoice)
    augment: Augment = field(default_factory=Augment)
    occluders: Occluders = field(default_factory=Occluders)
    clip: Clip = field(default_factory=Clip)

    def __post_init__(self) -> None:
        need(32 <= self.size <= 4096, "a size of 32 to 4096 pixels", self.size)
        need(self.quality in ("standard", "high"), 'quality "standard" or "high"', self.quality)
        unknown = [name for name in self.labels if name not in LABELS]
        need(not unknown and bool(self.labels), f"labels out of {', '.join(LABELS)}", ", ".join(unknown) or "none")
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if dataclasses.is_dataclass(value):
                value.check()  # pyright: ignore[reportAttributeAccessIssue]

    # -- documents ------------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, name: str) -> Recipe:
        """Return one of :data:`PRESETS`: ``portrait`` (studio), ``wild`` (full variety), ``video`` (clips)."""
        need(name in PRESETS, f"a recipe out of {', '.join(PRESETS)}, or a file", name)
        if name == "portrait":
            return cls()
        wild = cls(
            pose=Pose(22.0, 10.0, 8.0, (75.0, 35.0, 30.0)),
            camera=CameraChoice((10.0, 55.0), (0.42, 0.66), 0.05, 4.0),
            light=LightChoice(0.2, 0.4, 0.4, 0.35),
            background=BackgroundChoice(0.1, 0.3, 0.6),
            augment=Augment(0.35, 0.25, 3.0, 5.0, 6.0, (45, 95)),
            occluders=Occluders(0.2, 0.12),
        )
        if name == "wild":
            return wild
        return dataclasses.replace(
            wild, clip=Clip(25), augment=dataclasses.replace(wild.augment, blur=1.0, motion_blur=0.0, jpeg=(60, 95))
        )

    @classmethod
    def load(cls, source: str | Path) -> Recipe:
        """Load a preset by its name, or a YAML or JSON document (.yaml, .yml, .json) that overrides defaults.

        A document's ``preset`` names its defaults; ``portrait`` if missing.
        """
        if str(source) in PRESETS:
            return cls.preset(str(source))
        path = Path(source)
        if path.suffix.lower() not in (".yaml", ".yml", ".json"):
            remedy = did_you_mean(str(source), PRESETS, "name one of these, or give the file's whole name")
            raise InputError(f"a recipe out of {', '.join(PRESETS)}, or a .yaml or .json", str(source), remedy)
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text)
        except (OSError, ValueError) as error:
            raise FileError("a recipe", f"{path} ({error})", "see the documentation's page on data sets") from error
        return cls.from_dict({} if data is None else data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Create a recipe from :meth:`to_dict`; missing values are those of ``data["preset"]``."""
        if not isinstance(data, Mapping):
            raise InputError("a recipe of names and values", type(data).__name__, "see Recipe")
        rest = dict(data)
        return _filled(cls.preset(str(rest.pop("preset", "portrait"))), rest, "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dictionaries."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def _yaml(text: str) -> Any:
    yaml = optional_import("yaml", "data", "recipes in YAML")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _filled(base: Any, data: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass with given values in place of its own."""
    hints, changed = get_type_hints(type(base)), {}
    for name, value in data.items():
        if name not in hints:
            remedy = did_you_mean(str(name), hints, f"known here: {', '.join(hints)}")
            raise InputError("the names of a recipe", f"{where}{name}", remedy)
        own = getattr(base, name)
        if dataclasses.is_dataclass(own):
            if not isinstance(value, Mapping):
                raise InputError(f"names and values for {where}{name}", repr(value), "see Recipe")
            changed[name] = _filled(own, value, f"{where}{name}.")
        else:
            changed[name] = _typed(value, hints[name], f"{where}{name}")
    return dataclasses.replace(base, **changed)


def _typed(value: Any, hint: Any, name: str) -> Any:
    """Convert a value to its annotated type, or raise InputError."""
    if get_origin(hint) is types.UnionType:
        if value is None:
            return None
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        fits = isinstance(value, (list, tuple)) and (kinds[-1] is Ellipsis or len(value) == len(kinds))
        if not fits:
            raise InputError(f"a list for {name}", repr(value), "write it as [low, high] or [a, b, c]")
        each = [kinds[0]] * len(value) if kinds[-1] is Ellipsis else kinds
        return tuple(_typed(v, kind, name) for v, kind in zip(value, each, strict=True))
    if hint is bool or hint is str:
        fits = isinstance(value, hint)
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits:
        raise InputError(f"{name} as {hint.__name__}", repr(value), "correct the recipe")
    return float(value) if hint is float else value
