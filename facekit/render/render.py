"""render(): a mesh, a camera, some lights, a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.errors import InputError
from facekit.geometry.coverage import Triangles, prepare
from facekit.geometry.normals import vertex_normals
from facekit.geometry.uv import MipTexture, halve
from facekit.mesh import FaceMesh
from facekit.render.camera import Camera, size_of
from facekit.render.lights import Lights
from facekit.render.output import Background, RenderOutput, background_of, resolve
from facekit.render.rasterize import pixel_points
from facekit.render.shading import material_table, shade, surface
from facekit.render.shadows import key_shadow

#: Frames are rendered together as long as their pixels' lists stay under this, bytes (about 700 a pixel and sample).
_BUDGET_CPU, _BUDGET_CUDA = 192 << 20, 4 << 30
_BYTES_A_PIXEL = 700


def render(
    mesh: FaceMesh,
    camera: Camera | None = None,
    image_size: int | tuple[int, int] = 512,
    lights: str | Lights = "studio",
    quality: str = "standard",
    background: Background = None,
) -> RenderOutput:
    """Pictures of meshes.

    Differentiable with respect to ``mesh.verts`` and ``mesh.texture`` inside the silhouette (visibility itself is not).

    Parameters
    ----------
    mesh:
        B meshes. Without a texture they are clay, without parts all skin, without ao unoccluded.
    camera:
        N cameras, B and N equal or one of them 1; by default :meth:`Camera.front`.
    image_size:
        Pixels, or (height, width).
    lights:
        "studio", "daylight", "rim", "flat" (the albedo alone), or your own :class:`Lights`.
    quality:
        "standard": four samples a pixel at edges, one inside. "high": four times as many of both, and a soft shadow
        of the key light.
    background:
        "studio", "transparent", an sRGB triple in [0, 1], or None for what the lights come with.
    """
    camera = Camera.front() if camera is None else camera
    lights = Lights.preset(lights) if isinstance(lights, str) else lights
    height, width = size_of(image_size)
    if quality not in ("standard", "high"):
        raise InputError('quality "standard" or "high"', repr(quality), "choose one of them")
    count = max(len(mesh), len(camera))
    if len(mesh) not in (1, count) or len(camera) not in (1, count):
        raise InputError("as many cameras as meshes, or one", f"{len(camera)} for {len(mesh)}", "match their numbers")
    behind = background_of(lights.background if background is None else background, height, width, mesh.verts)
    camera = camera.to(mesh.verts.device)
    wants = mesh.verts.requires_grad or (mesh.texture is not None and mesh.texture.requires_grad)
    with torch.set_grad_enabled(wants and torch.is_grad_enabled()):
        scene = None
        scale = 4 if quality == "high" else 1
        budget = _BUDGET_CUDA if mesh.verts.is_cuda else _BUDGET_CPU
        step = max(1, budget // (height * width * scale * _BYTES_A_PIXEL))
        parts = []
        for start in range(0, count, step):
            some = slice(start, min(start + step, count))
            # Mip pyramids and normals of one mesh serve all cameras; those of many are made as they are needed.
            if scene is None or len(mesh) > 1:
                scene = _Scene.of(mesh if len(mesh) == 1 else mesh[some], lights)
            cameras = camera if len(camera) == 1 else camera[some]
            parts.append(_pictures(scene, cameras, height, width, quality == "high", behind))
        columns = [torch.cat(column) if len(parts) > 1 else column[0] for column in zip(*parts, strict=True)]
    return RenderOutput(*columns, transparent=behind is None)


@dataclass(frozen=True)
class _Scene:
    """What frames share that are rendered together, or that show one mesh."""

    mesh: FaceMesh
    normals: torch.Tensor
    texture: MipTexture | None
    values: torch.Tensor
    lights: Lights
    topology: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    @classmethod
    def of(cls, mesh: FaceMesh, lights: Lights) -> _Scene:
        """With the topology transposed, as :func:`facekit.render.shading.surface` reads it."""
        texture = None if mesh.texture is None else MipTexture.build(mesh.texture)
        values = material_table(mesh.parts, mesh.ao, mesh.verts.shape[1], mesh.texture is None, mesh.verts)
        topology = tuple(t.t().contiguous() for t in (mesh.faces, mesh.uvs, mesh.faces_uvs))
        return cls(mesh, vertex_normals(mesh.verts, mesh.faces), texture, values, lights, topology)


@dataclass(frozen=True)
class _Frames:
    """Some frames as the camera sees them: points and normals (3, b * V), rotation (b, 3, 3), pixel (b,)."""

    points: torch.Tensor
    normals: torch.Tensor
    rotation: torch.Tensor
    pixel: torch.Tensor
    texture: MipTexture | None


def _pictures(scene: _Scene, cameras: Camera, height: int, width: int, high: bool, behind) -> tuple[torch.Tensor, ...]:
    """The columns of :class:`RenderOutput` for some frames."""
    mesh, lights, texture = scene.mesh, scene.lights, scene.texture
    verts, normals = mesh.verts, scene.normals
    batch = max(len(cameras), len(verts))
    rotation = cameras.rotation().expand(batch, 3, 3)
    points = cameras.view(verts).expand(batch, -1, -1)
    turned = (normals @ rotation[: len(cameras)].transpose(1, 2)).expand(batch, -1, -1)
    pixel = (1.0 / cameras.focal(height)).expand(batch)
    rows = (t.permute(2, 0, 1).reshape(3, -1).contiguous() for t in (points, turned))
    frames = _Frames(*rows, rotation, pixel, texture)

    triangles = _triangles(verts, mesh, cameras, height, width)
    ids, seen = (t.view(batch, height, width) for t in triangles.nearest())
    if not high:
        linear, alpha, depth, normal = _passes(scene, frames, triangles, ids, seen, 1, None)
    else:
        lit = bool(lights.lights) and not lights.unlit
        shadow = key_shadow(verts, mesh.faces, lights, cameras, 2 * height) if lit else None
        triangles = _triangles(verts, mesh, cameras, 2 * height, 2 * width)
        fine, seen = (t.view(batch, 2 * height, 2 * width) for t in triangles.nearest())
        linear, alpha, _, _ = _passes(scene, frames, triangles, fine, seen, 2, shadow)
        linear, alpha = halve(linear), halve(alpha)
        depth, normal = _buffers(scene, frames, ids, height, width)
    return resolve(linear, alpha, behind), alpha, depth, normal, ids


def _triangles(verts: torch.Tensor, mesh: FaceMesh, cameras: Camera, height: int, width: int) -> Triangles:
    return prepare(pixel_points(verts, cameras, height, width), mesh.faces, height, width, near=cameras.near)


def _rays(frames: _Frames, frame, x, y, height: int, width: int, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions (2, P) of picture places in pixels, and the angle of a pixel (b,)."""
    pixel = frames.pixel / scale
    step = pixel[0] if pixel.shape[0] == 1 else pixel.index_select(0, frame)
    return torch.stack(((x - width / 2) * step, (height / 2 - y) * step)), pixel


def _centres(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Covered pixels: their flat place, frame, and the column and row of their centres."""
    place = (ids.view(-1) >= 0).nonzero()[:, 0]
    return place, *_positions(place, ids)


def _positions(place: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frame (P,) int64, and column and row of the centre (P,) float32, of flat places in ``ids`` (b, H, W)."""
    batch, height, width = ids.shape
    frame = torch.zeros_like(place) if batch == 1 else place // (height * width)
    rest = (place if batch == 1 else place - frame * (height * width)).to(torch.int32)
    row = rest // width
    return frame, (rest - row * width).to(torch.float32) + 0.5, row.to(torch.float32) + 0.5


def _surface(scene: _Scene, frames: _Frames, frame, face, x, y, height: int, width: int, scale: int):
    ray, pixel = _rays(frames, frame, x, y, height, width, scale)
    return surface(frames.points, frames.normals, scene.values, *scene.topology, frame, face, ray, pixel)


def _buffers(scene: _Scene, frames: _Frames, ids: torch.Tensor, height: int, width: int) -> tuple:
    """Depth and normals at pixel centres."""
    place, frame, x, y = _centres(ids)
    found = _surface(scene, frames, frame, ids.view(-1)[place], x, y, height, width, 1)
    return _fill(ids, place, found.depth, found.normal)


def _fill(ids: torch.Tensor, place: torch.Tensor, distance: torch.Tensor, normal: torch.Tensor) -> tuple:
    batch, height, width = ids.shape
    depth = torch.full((ids.numel(),), float("inf"), device=ids.device).index_put((place,), distance)
    return depth.view(batch, 1, height, width), _scatter(normal, place, ids)


def _scatter(values: torch.Tensor, place: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(C, P) values at flat places to (b, C, H, W), zero elsewhere."""
    batch, height, width = ids.shape
    rows = [values.new_zeros(ids.numel()).index_put((place,), row) for row in values]
    return torch.stack([row.view(batch, height, width) for row in rows], dim=1)


def _passes(
    scene: _Scene, frames: _Frames, triangles: Triangles, ids: torch.Tensor, seen: torch.Tensor, scale: int, shadow
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """One sample inside, four at edges: linear colour times alpha, alpha, depth and normals."""
    batch, height, width = ids.shape
    place, frame, x, y = _centres(ids)
    face = ids.view(-1).index_select(0, place)
    count = place.numel()
    edge = _edges(seen, frames.pixel / scale).view(-1).nonzero()[:, 0]
    slots = torch.full((ids.numel(),), -1, dtype=torch.int64, device=ids.device)
    slots[edge] = torch.arange(edge.numel(), device=ids.device)
    fine, _ = triangles.nearest(grid=2, shear=0.125, slots=slots)
    owner, corner = (fine >= 0).nonzero(as_tuple=True)
    at = edge.index_select(0, owner)
    sub_frame, sub_x, sub_y = _positions(at, ids)
    # Where the four samples lie in their pixel: see Triangles.nearest.
    low, right = (corner >= 2).to(torch.float32), (corner % 2).to(torch.float32)
    sub_x = sub_x - 0.125 + 0.5 * right - 0.25 * low
    sub_y = sub_y - 0.25 + 0.5 * low

    every = (
        torch.cat((frame, sub_frame)), torch.cat((face, fine[owner, corner])),
        torch.cat((x, sub_x)), torch.cat((y, sub_y)),
    )  # fmt: skip
    found = _surface(scene, frames, *every, height, width, scale)
    dim = None if shadow is None else shadow(found)
    colour = shade(found, frames.texture, scene.lights, frames.rotation, dim)

    linear = colour.new_zeros(3, ids.numel())
    mixed = colour.new_zeros(3, edge.numel())
    rows, mixes = [], []
    for k in range(3):
        mix = mixed[k].index_add(0, owner, colour[k, count:]) * 0.25
        rows.append(linear[k].index_put((place,), colour[k, :count]).index_put((edge,), mix))
        mixes.append(mix)
    alpha = (ids.view(-1) >= 0).to(torch.float32)
    alpha[edge] = (fine >= 0).to(torch.float32).mean(1)
    linear = torch.stack([row.view(batch, height, width) for row in rows], dim=1)
    alpha = alpha.view(batch, 1, height, width)
    # In high quality the buffers belong to the coarse grid.
    buffers = (None, None) if scale > 1 else _fill(ids, place, found.depth[:count], found.normal[:, :count])
    return linear, alpha, *buffers


def _edges(depth: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    """Pixels (b, H, W) that need more than one sample: along silhouettes and where depth jumps.

    1 / depth is linear over a flat face on screen, however steep: its second difference shows jumps and creases only.
    """
    inverse = 1.0 / depth
    padded = torch.nn.functional.pad(inverse[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]).sub_(inverse, alpha=2.0).abs_()
    down = (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]).sub_(inverse, alpha=2.0).abs_()
    # A jump of dz changes 1 / z by dz / z²; 0.7 pixels' width counts as one.
    return torch.maximum(across, down) > inverse * (0.7 * pixel[:, None, None])
