"""Train the detail module on real scans, for holders of FaceScape's licence.

Run it as ``python -m facekit.train.detail.facescape FOLDER``.

FaceScape (Yang et al., CVPR 2020; non-commercial research only) has, for each of 847 people in 20 expressions, a mesh
in the topology of the published 3DFaceCAM weights and a displacement map in its UV::

    <folder>/<person>/models_reg/<k>_<expression>.obj        k: 1 to 20
    <folder>/<person>/dpmap/<k>_<expression>.png             16 bits, 32768 is 0, 32768 more is the scale

The published weights include the identity code of each of these people, so that the result matches their identities:
``FacePipeline.from_pretrained("3dfacecam", detail="detail.npz")``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from facekit.conventions import EXPRESSIONS
from facekit.data.facescape import SCALE_MM, Person, find_people, read_displacement
from facekit.errors import FacekitError, FileError
from facekit.geometry.uv import bake, rasterize_uv
from facekit.io.reading import read_untextured
from facekit.models.config import DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail
from facekit.models.detail_layer import DetailLayer
from facekit.models.detail_tile import TileStrain
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.template import Template
from facekit.train.detail.data import DetailSamples
from facekit.train.detail.stage import explained, train_detail, write_detail

_TILE = (0.0, 0.0, 1.0, 1.0)  # FaceScape's maps cover the whole of its UV
_HELD_OUT = 20  # one in this many people is held out


def facescape_samples(
    people: list[Person],
    template: Template,
    identities: torch.Tensor,
    measure: TileStrain,
    weight: torch.Tensor,
    scale: float = SCALE_MM,
) -> DetailSamples:
    """Read samples of all expressions of these people.

    Parameters
    ----------
    identities:
        (847, 20) float32: the published codes, person 1 first.
    measure:
        Function that measures strain on this template.
    weight:
        (S, S) as in :class:`DetailSamples`; its side is that of the maps.
    """
    rows, strains, targets = [], [], []
    for person in progress(people, desc="scans"):
        if person.number > len(identities):
            raise FileError(f"people from 1 to {len(identities)}", f"{person.number}", "remove that folder")
        rest = _verts(person.files[EXPRESSIONS[0]][0], template)
        for mesh, picture in person.files.values():
            rows.append(identities[person.number - 1])
            strains.append(measure(rest, _verts(mesh, template)))
            assert picture is not None
            targets.append(read_displacement(picture, len(weight), scale).half())
    return DetailSamples(torch.stack(rows), torch.cat(strains), torch.stack(targets), weight)


def transfer_field(
    field: torch.Tensor, tile_uvs: torch.Tensor, trust: torch.Tensor, template: Template, side: int
) -> torch.Tensor:
    """Transfer a map of furrows (3, side, side), see :class:`DetailModel`, from the tile to the template's UV layout.

    ``tile_uvs`` (T, 2) are the tile coordinates of the template's UVs, ``trust`` (T,) their weights.
    """
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, side)
    known = torch.cat((tile_uvs, trust[:, None]), dim=1)[None]
    x, y, sure = bake(known, template.faces_uvs, ids, weights)[0]
    grid = torch.stack((2 * x - 1, 1 - 2 * y), dim=-1)
    cos, sin, strain = F.grid_sample(field[None], grid[None], padding_mode="border", align_corners=False)[0]
    angle, trusted = torch.atan2(sin, cos) / 2, torch.hypot(cos, sin)
    # Directions transform by the inverse Jacobian of the map from here to there (v runs up).
    (xv, xu), (yv, yu) = (torch.gradient(t, dim=(0, 1)) for t in (x, y))
    xv, yv = -xv, -yv
    u, v = yv * angle.cos() - xv * angle.sin(), xu * angle.sin() - yu * angle.cos()
    here = 2 * torch.atan2(v, u)
    trusted = trusted * (sure > 0.5)
    return torch.stack((trusted * here.cos(), trusted * here.sin(), strain))


def train(folder: Path, model: str, out: Path, work: Path, config: DetailConfig, scale: float, steps: int) -> None:
    """Train on the scans in ``folder`` and write ``out``; see the module's docstring."""
    people = find_people(folder)
    pipe = FacePipeline.from_pretrained(model, device="cpu")
    if pipe.identities is None:
        raise FacekitError("a model with the codes of FaceScape's people", repr(model), "use 3dfacecam")
    layer, template = pipe.detail_layer, pipe.template
    field = transfer_field(layer.model.furrows, layer.tile_uvs, layer.trust, template, config.field)
    learner = DetailModel(config)
    learner.furrows.copy_(field)
    own = DetailLayer(learner, layer.micro, template, template.uvs, layer.trust)
    measure = TileStrain(own, template.uvs, template.faces, template.faces_uvs)
    weight = chart_weight(template, layer.trust, config.size)
    kept = people[::_HELD_OUT] if len(people) >= _HELD_OUT else []
    samples = facescape_samples([p for p in people if p not in kept], template, pipe.identities, measure, weight, scale)
    work.mkdir(parents=True, exist_ok=True)
    learned = train_detail(config, samples, field, work / "detail_facescape.pt", steps)
    write_detail(pack_detail(learned, DetailHome(len(template.verts), _TILE)), out)
    print(f"wrote {out}")
    if kept:
        print(explained(learned, facescape_samples(kept, template, pipe.identities, measure, weight, scale)))


def chart_weight(template: Template, trust: torch.Tensor, size: int) -> torch.Tensor:
    """Return the weight (size, size) float32, mean 1, of each texel in the template's UV layout."""
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, size)
    sure = bake(trust[None, :, None], template.faces_uvs, ids, weights)[0, 0]
    return sure / sure.mean().clamp_min(1e-6)


def _verts(path: Path, template: Template) -> torch.Tensor:
    verts = read_untextured(path).verts
    if verts.shape[1] != len(template.verts):
        raise FileError(
            f"{len(template.verts)} vertices", f"{verts.shape[1]} in {path}", "take the registered meshes, models_reg"
        )
    return verts


def main() -> int:
    """Parse arguments and train; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m facekit.train.detail.facescape", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="holds FaceScape's people 1, 2, …")
    parser.add_argument("--model", default="3dfacecam", help="whose topology and codes (default 3dfacecam)")
    parser.add_argument("--out", type=Path, default=Path("detail.npz"), help="the file to write (default detail.npz)")
    parser.add_argument("--work", type=Path, default=Path(".train"), help="checkpoints (default .train)")
    parser.add_argument("--size", type=int, default=512, help="side of the maps in texels (default 512)")
    parser.add_argument("--steps", type=int, default=6000, help="steps of the descent (default 6000)")
    parser.add_argument("--scale", type=float, default=SCALE_MM, help=f"mm of a map's range (default {SCALE_MM})")
    parser.add_argument("--composition", choices=("directional", "scalar"), default="directional")
    a = parser.parse_args()
    config = DetailConfig(size=a.size, static=32, compressed=24, stretched=12, composition=a.composition)
    try:
        train(a.folder, a.model, a.out, a.work, config, a.scale, a.steps)
    except FacekitError as error:
        print(f"facekit.train.detail.facescape: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("facekit.train.detail.facescape: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
