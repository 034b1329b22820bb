"""A small textured head with a UV seam and a synthetic rig, for tests of io, viz and cli without weights."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from facekit.conventions import EXPRESSIONS
from facekit.face import FaceOutput
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.pipeline import FacePipeline
from facekit.source import RIGS, FaceRig, FaceSettings, Keyframes, rig_names, rig_weights
from facekit.template import Template
from tests import scheduling

RINGS, COLUMNS = 13, 18


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Schedule long tests first, and some without their file; None for other distribution modes."""
    return scheduling.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config, items):
    """Order the longest tests first under several workers; otherwise keep the order of files."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: scheduling.rank(item.nodeid))


def sphere(rings: int = RINGS, columns: int = COLUMNS, texture_size: int = 64) -> FaceMesh:
    """An ellipsoid the size of a head, open at the poles; one column of vertices carries two columns of UVs.

    Parameters
    ----------
    rings, columns:
        Vertices from bottom to top and around; V = rings · columns.
    """
    height = torch.linspace(-0.45 * math.pi, 0.45 * math.pi, rings)
    # Starting at the back (angle pi) keeps the seam off the face.
    angle = math.pi + torch.arange(columns) * (2 * math.pi / columns)
    lat, lon = torch.meshgrid(height, angle, indexing="ij")
    unit = torch.stack([lat.cos() * lon.sin(), lat.sin(), lat.cos() * lon.cos()], dim=-1)
    verts = (unit * torch.tensor([75.0, 110.0, 90.0])).reshape(1, -1, 3)
    v, u = torch.meshgrid(torch.linspace(0.02, 0.98, rings), torch.linspace(0.01, 0.99, columns + 1), indexing="ij")
    uvs = torch.stack([u, v], dim=-1).reshape(-1, 2)
    faces, faces_uvs = [], []
    for r in range(rings - 1):
        for c in range(columns):
            for index, width, wrap in ((faces, columns, columns), (faces_uvs, columns + 1, columns + 1)):
                a, b = r * width + c, r * width + (c + 1) % wrap
                index += [(a, b, b + width), (a, b + width, a + width)]
    y, x = torch.meshgrid(torch.linspace(0, 1, texture_size), torch.linspace(0, 1, texture_size), indexing="ij")
    checker = 0.08 * torch.sign(torch.sin(x * 40) * torch.sin(y * 30))
    texture = torch.stack([0.75 - 0.2 * y, 0.45 + 0.2 * x, 0.4 + 0.1 * y]) + checker
    texture = (texture.clamp(0, 1) * 255).round() / 255  # so that an 8-bit file holds it exactly
    count = verts.shape[1]
    return FaceMesh(
        verts=verts,
        faces=torch.tensor(faces),
        uvs=uvs,
        faces_uvs=torch.tensor(faces_uvs),
        texture=texture[None],
        ao=torch.ones(count),
        parts=torch.zeros(count, dtype=torch.uint8),
        landmarks=torch.arange(68),
    )


def morphs(mesh: FaceMesh) -> torch.Tensor:
    """(71, V, 3) mm: a bump for each expression and blendshape, each in another place, zero far from it."""
    verts = mesh.verts[0]
    deltas = []
    for k in range(len(RIGS["both"])):
        distance = (verts - verts[(k * 37 + 60) % len(verts)]).norm(dim=1, keepdim=True)
        direction = torch.tensor([math.sin(k), math.cos(k), 1.0])
        deltas.append(6 * torch.relu(1 - distance / 60) ** 2 * direction)
    return torch.stack(deltas)


def relief(size: int = 64) -> torch.Tensor:
    """(1, 1, size, size) mm: a bump at the front of the ellipsoid and shallow waves around it."""
    y, x = torch.meshgrid(*2 * ((torch.arange(size) + 0.5) / size,), indexing="ij")
    bump = torch.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.01)
    return (1.2 * bump + 0.1 * torch.sin(30 * x) * torch.sin(25 * y))[None, None]


class TinyPipe:
    """Stands in for FacePipeline: a source with the same calls, without weights."""

    name = "tiny"
    expressions = EXPRESSIONS
    single_person = False
    shapes: tuple[str, ...] = ()
    shape_pairs: tuple[tuple[int, int], ...] = ()

    def __init__(self, mesh: FaceMesh) -> None:
        self.mesh, self.deltas, self.calls = mesh, morphs(mesh), 0

    def __call__(
        self,
        seed=None,
        expression=None,
        intensity=1.0,
        truncation=1.0,
        latents=None,
        detail=False,
        detail_strength=1.0,
        blendshapes=None,
    ) -> FaceOutput:
        self.calls += 1
        metadata = {} if seed is None else {"seed": seed}
        if latents is None:
            latents = FaceLatents.sample(seed, truncation=truncation)
        if expression is not None:
            latents = latents.with_expression(expression, intensity)
        if blendshapes is not None:
            latents = latents.with_blendshapes(blendshapes)
        mesh = self.decode(latents, detail=detail, detail_strength=detail_strength)
        settings = FaceSettings(detail, detail_strength)
        return FaceOutput(mesh, latents, self.name, metadata, settings, source=self)

    def decode(self, latents: FaceLatents, *, texture=True, detail=False, detail_strength=1.0) -> FaceMesh:
        base = self.mesh.verts * (1 + 0.02 * latents.identity[:, :1, None])
        verts = base + torch.einsum("bk,kvc->bvc", rig_weights(latents, RIGS["both"]), self.deltas)
        skin = self.mesh.texture.expand(len(latents), -1, -1, -1) if texture else None
        bumps = detail_strength * relief().expand(len(latents), -1, -1, -1) if detail else None
        return dataclasses.replace(self.mesh, verts=verts, texture=skin, displacement=bumps)

    def keyframes(self, latents: FaceLatents, *, detail=False) -> Keyframes:
        verts = self.decode(latents, texture=False).verts
        return Keyframes(verts, torch.zeros(verts.shape[:2]))

    def rig(self, latents: FaceLatents, *, kind="expressions", detail=False, detail_strength=1.0) -> FaceRig:
        neutral = self.decode(latents.at_rest(), detail=detail, detail_strength=detail_strength)
        names = rig_names(kind)
        deltas = self.deltas[[RIGS["both"].index(name) for name in names]]
        return FaceRig(neutral=neutral, names=names, deltas=deltas, weights=rig_weights(latents, names)[0])


@pytest.fixture
def tiny_mesh() -> FaceMesh:
    """234 vertices, 432 triangles, 247 UVs, a 64² texture."""
    return sphere()


@pytest.fixture
def tiny_template(tiny_mesh: FaceMesh) -> Template:
    """The same as a template, whose tile is the whole texture."""
    shared = {name: getattr(tiny_mesh, name) for name in ("faces", "uvs", "faces_uvs", "parts", "landmarks", "ao")}
    return Template(verts=tiny_mesh.verts[0], tile_rect=(0.0, 0.0, 1.0, 1.0), **shared)


@pytest.fixture
def tiny_pipe(tiny_mesh: FaceMesh) -> TinyPipe:
    """A pipeline that makes ellipsoids with all 19 morph targets."""
    return TinyPipe(tiny_mesh)


@pytest.fixture
def tiny_face(tiny_pipe: TinyPipe) -> FaceOutput:
    """One smiling ellipsoid (B = 1)."""
    return tiny_pipe(seed=7, expression="smile", intensity=0.8)


@pytest.fixture
def bumpy_face(tiny_pipe: TinyPipe) -> FaceOutput:
    """The same with displacement, in a 64² map."""
    return tiny_pipe(seed=7, expression="smile", intensity=0.8, detail=True)


@pytest.fixture
def tiny_sweep(tiny_pipe: TinyPipe) -> FaceOutput:
    """All 20 expressions of one ellipsoid (B = 20) with their names in the metadata."""
    latents = FaceLatents.sample(7)
    batch = FaceLatents.cat([latents.with_expression(name) for name in EXPRESSIONS])
    return dataclasses.replace(tiny_pipe(latents=batch), metadata={"expression": list(EXPRESSIONS)})


@pytest.fixture(scope="session")
def default_pipeline() -> FacePipeline:
    """The embedded default on the CPU, loaded once."""
    return FacePipeline.from_pretrained(device="cpu")


@pytest.fixture
def loaded_once(default_pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the embedded default on the CPU gets the one that is loaded: to make ready another takes 2 s."""
    load = FacePipeline.from_pretrained

    def shared(cls: type[FacePipeline], name: object = "default", device: object = None, **options: object) -> object:
        here = str(device) == "cpu" or (device is None and not torch.cuda.is_available())
        return default_pipeline if name == "default" and here and not options else load(name, device, **options)

    monkeypatch.setattr(FacePipeline, "from_pretrained", classmethod(shared))
