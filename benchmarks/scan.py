"""Errors of heads from pictures of a real scan, as Markdown::

    python benchmarks/scan.py SCAN.glb COLOURS.jpg [--flip] [--draw OUT]

The scan is a mesh with one chart of texture coordinates that trimesh reads, and its colours; ``--flip`` turns the
coordinates upside down. It is drawn from six sides in lamplight. Figures are mm at a mean head's size, means over what
of the scan the front shows within 72 mm of the tip of the nose, to the surface of the head at rest, after alignment
with scale on these points (NoW's way, Sanyal et al., CVPR 2019). Controls are the mean face and fits of MediaPipe's
points; "blink" is what the fit says of lids. Lee Perry-Smith's head (CC BY 3.0, in three.js's examples), whose eyes are
shut, will do. Needs the extras ``photo`` and ``evaluate``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import trimesh
from scipy.spatial import KDTree

from facekit import FacePipeline
from facekit.conventions import NOSE_TIP
from facekit.files.images import load_image
from facekit.mesh import FaceMesh
from facekit.metrics.scans import Surface, aligned, refined
from facekit.models.blendshapes import BLINKS
from facekit.reconstruct.api import refine_and_fit, views_of
from facekit.reconstruct.dense import expected_identity
from facekit.reconstruct.find import find
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, RIGHT_IRIS, FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture
from facekit.render import Camera, Light, Lights, rasterize, render
from facekit.train.landmarks.stage import default_anchors

#: Azimuth and elevation of the camera, degrees, and the lamp's azimuth; pixels a side.
SIDES = ((0, 0, 30), (-25, 0, -40), (25, 5, 10), (0, 12, 30), (-40, 0, -40), (40, 0, 10))
SIZE, REACH_MM, CROP_MM = 640, 72.0, 105.0


@dataclass(frozen=True)
class Scan:
    """A scan in the template's space: its mesh, and what of it counts, (N,) bool."""

    mesh: FaceMesh
    counts: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Return the scan's points that are compared (M, 3), float64."""
        return self.mesh.verts[0].double().numpy()[self.counts]


def read(path: Path, colours: Path, flip: bool) -> FaceMesh:
    """The scan as it lies in its file, a hundred millimetres wide."""
    scene = trimesh.load(path, process=False)
    part: Any = next(iter(scene.geometry.values())) if isinstance(scene, trimesh.Scene) else scene
    verts, faces = torch.tensor(np.asarray(part.vertices)).float(), torch.tensor(np.asarray(part.faces)).long()
    uvs = torch.tensor(np.asarray(part.visual.uv)).float()
    if flip:
        uvs[:, 1] = 1 - uvs[:, 1]
    texture = torch.from_numpy(load_image(colours)[..., :3].copy()).permute(2, 0, 1)[None].float() / 255
    verts = (verts - verts.mean(dim=0)) * (100.0 / float((verts.amax(dim=0) - verts.amin(dim=0)).amax()))
    return FaceMesh(verts=verts[None], faces=faces, uvs=uvs, faces_uvs=faces, texture=texture)


def placed(mesh: FaceMesh, pipe: FacePipeline, landmarker: Landmarker) -> Scan:
    """Lay the scan over the template by the landmarker's points, seen from the front."""
    camera = Camera.fit(mesh)
    front = _taken(mesh, camera, 30, 1000)
    _, face, _ = find(front, landmarker)
    place = camera.project(mesh.verts, 1000)[0].numpy()
    ids, _ = rasterize(mesh.verts, mesh.faces, camera, 1000)
    seen = np.unique(mesh.faces[ids[0][ids[0] >= 0].unique()].numpy())
    away, nearest = KDTree(place[seen, :2]).query(face.points)
    use = away < 4
    use[[*OVAL, *RIGHT_IRIS, *LEFT_IRIS]] = False
    places = mesh.verts[0].double().numpy()
    marks = default_anchors()(pipe.template.verts[None])[0].double().numpy()
    size, turn, shift = aligned(places[seen[nearest]][use], marks[use])
    verts = torch.from_numpy(size * places @ turn.T + shift).float()
    tip = pipe.template.verts[pipe.template.landmarks[NOSE_TIP]]
    counts = np.zeros(len(verts), dtype=bool)
    counts[seen] = True
    counts &= ((verts - tip).norm(dim=1) < REACH_MM).numpy()
    return Scan(FaceMesh(verts[None], mesh.faces, mesh.uvs, mesh.faces_uvs, mesh.texture), counts)


def _taken(mesh: FaceMesh, camera: Camera, lamp: float, size: int = SIZE) -> Picture:
    lights = Lights(lights=(Light(lamp, 30, 0.7, (1.0, 0.95, 0.9), size=12.0),), sky=(0.4,) * 3, ground=(0.24,) * 3)
    seen = render(mesh, camera, size, lights=lights, background=(0.35, 0.4, 0.45)).rgb[0]
    return Picture((seen.clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy(), "scan")


class Judge:
    """Holds heads against a scan."""

    def __init__(self, pipe: FacePipeline, scan: Scan) -> None:
        self.pipe, self.photo, self.scan = pipe, PhotoModel.of(pipe), scan
        template = pipe.template
        near = (template.verts - template.verts[template.landmarks[NOSE_TIP]]).norm(dim=1) < CROP_MM
        face = near & (template.parts <= 2)
        self.tris = template.faces[face[template.faces].all(dim=1)].numpy()

    def error(self, neutral: torch.Tensor) -> float:
        """Mean distance of the scan from a head at rest (V, 3), mm."""
        surface = refined(Surface(neutral.double().numpy(), self.tris), self.scan.points)
        return float(surface.nearest(self.scan.points)[1].mean())

    def rows(self, pictures: list[Picture], faces: list[FaceLandmarks]) -> dict[str, tuple[float, float]]:
        """Error, and the least blink of both eyes in the mean, of each way to read some pictures."""
        again, seen = refine_and_fit(self.photo, pictures, faces)
        told = {
            "landmarker": fit(self.photo.points, self.photo.response, views_of(pictures, faces, self.photo.response)),
            "fit": again,
        }
        found = {
            name: (
                self.error(self.photo.head(self.pipe.template, one)),
                float(one.blendshapes[:, list(BLINKS)].min(axis=1).mean()),
            )
            for name, one in told.items()
        }
        return {"network alone": (self._error_of(expected_identity(seen)[0]), float("nan")), **found}

    def _error_of(self, identity: np.ndarray) -> float:
        return self.error(self.photo.neutral(self.pipe.template.verts, torch.from_numpy(identity)))


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("colours", type=Path)
    parser.add_argument("--flip", action="store_true", help="turn texture coordinates upside down")
    parser.add_argument("--draw", type=Path, help="folder for the pictures")
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    with Landmarker() as landmarker:
        judge = Judge(pipe, placed(read(args.scan, args.colours, args.flip), pipe, landmarker))
        taken = [
            _taken(judge.scan.mesh, Camera.orbit(across, up, 700.0, (0.0, 8.0, 10.0), 28.0), lamp)
            for across, up, lamp in SIDES
        ]
        found = [find(picture, landmarker, judge.photo.mirror) for picture in taken]
    if args.draw is not None:
        from PIL import Image

        args.draw.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(taken):
            Image.fromarray(cast("np.ndarray", picture.pixels)).save(args.draw / f"scan_{number}.png")
    pictures, faces = [picture for picture, _, _ in found], [face for _, face, _ in found]
    print(f"mean face {judge.error(pipe.template.verts):.2f} mm, {len(judge.scan.points)} points\n")
    print("| pictures | landmarker | network alone | fit | blink: landmarker, fit |\n| --- | --- | --- | --- | --- |")
    for count in (1, 3, 6):
        groups = [slice(k, k + 1) for k in range(3)] if count == 1 else [slice(0, count)]
        rows = [judge.rows(pictures[some], faces[some]) for some in groups]
        mean = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
        cells = " | ".join(f"{mean[name][0]:.2f}" for name in ("landmarker", "network alone", "fit"))
        print(f"| {count} | {cells} | {mean['landmarker'][1]:.2f}, {mean['fit'][1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
