"""FaceSet: people with several expressions as meshes in dense correspondence."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from facekit.checks import whole
from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError


@dataclass(frozen=True)
class FaceSet:
    """P people with E expressions each.

    Parameters
    ----------
    name:
        Name of the data set.
    subjects:
        P names.
    expressions:
        E names, the first of them "neutral".
    verts:
        (P, E, V, 3) float32 mm; NaN for missing scans.
    faces:
        (F, 3) int64.
    landmarks:
        (68,) int64, vertices in iBUG order, or None.
    measured:
        (V,) bool: vertices to measure; all by default.
    textures:
        (P, E, 3, S, S) float32 sRGB in [0, 1], or None.
    """

    name: str
    subjects: tuple[str, ...]
    expressions: tuple[str, ...]
    verts: torch.Tensor
    faces: torch.Tensor
    landmarks: torch.Tensor | None = None
    measured: torch.Tensor | None = None
    textures: torch.Tensor | None = None

    def __post_init__(self) -> None:
        people, kinds = len(self.subjects), len(self.expressions)
        if self.verts.ndim != 4 or self.verts.shape[:2] != (people, kinds) or self.verts.shape[3] != 3:
            raise InputError(f"verts ({people}, {kinds}, V, 3)", f"{tuple(self.verts.shape)}", "give one mesh per scan")
        if not self.expressions or self.expressions[0] != "neutral":
            raise InputError("'neutral' as the first expression", f"{self.expressions[:1]}", "put it first")
        unknown = set(self.expressions) - set(EXPRESSIONS)
        if unknown:
            raise InputError("expressions of facekit", ", ".join(sorted(unknown)), f"use {', '.join(EXPRESSIONS)}")

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, chosen: list[int] | slice) -> FaceSet:
        """Return some of the people."""
        places = range(len(self))[chosen] if isinstance(chosen, slice) else chosen
        return dataclasses.replace(
            self,
            subjects=tuple(self.subjects[k] for k in places),
            verts=self.verts[list(places)],
            textures=None if self.textures is None else self.textures[list(places)],
        )

    def split(self, test: int, seed: int = 0) -> tuple[FaceSet, FaceSet]:
        """Split people, not scans, into a training set and ``test`` held-out ones.

        Raises
        ------
        InputError
            If fewer than two would be left for training.
        """
        test = whole(test, "test", 1, len(self) - 2, f"the set has {len(self)} people, two of them must remain")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).tolist()
        return self[sorted(order[test:])], self[sorted(order[:test])]

    def cropped(self) -> FaceSet:
        """Return the set with the measured vertices only, and the faces and landmarks on them."""
        if self.measured is None:
            return self
        faces, landmarks = crop_topology(self.faces, self.landmarks, self.measured)
        return dataclasses.replace(self, verts=self.points(), faces=faces, landmarks=landmarks, measured=None)

    def points(self) -> torch.Tensor:
        """Return the measured vertices, (P, E, n, 3) mm."""
        return self.verts if self.measured is None else self.verts[:, :, self.measured]


def crop_topology(
    faces: torch.Tensor, landmarks: torch.Tensor | None, kept: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Reindex faces (F, 3) and landmarks (68,) for the vertices of a mask (V,) bool.

    Faces that lose a corner are removed; if a landmark is lost, all are None.
    """
    place = kept.long().cumsum(0) - 1
    marks = place[landmarks] if landmarks is not None and bool(kept[landmarks].all()) else None
    return place[faces[kept[faces].all(dim=1)]], marks
