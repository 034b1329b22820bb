"""The passes that make pictures of a scene: visibility, shading of samples, hair, and what is seen per pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from facekit.geometry.lists import flat_indices
from facekit.geometry.normals import vertex_normals
from facekit.geometry.uv import MipTexture, halve
from facekit.hair import HIDDEN, Hair
from facekit.mesh import FaceMesh
from facekit.render.backends import Visibility, visibility
from facekit.render.camera import Camera
from facekit.render.hair import hair_layers, window
from facekit.render.lights import Lights
from facekit.render.output import resolve
from facekit.render.rasterize import pixel_points
from facekit.render.relief import relief_of
from facekit.render.shading import material_table, shade
from facekit.render.shadows import key_shadow
from facekit.render.surface import Facets, Surface, surface

#: Number of samples shaded at once: on a CPU so few that their lists fit into its caches.
_PIECE_CPU, _PIECE_CUDA = 1 << 16, 1 << 22
#: Positions of the four samples of a pixel with a shear of 1/8, see :meth:`Triangles.nearest`; and the centre.
_SHEAR, _SPOTS = 0.125, ((0.375, 0.25), (0.875, 0.25), (0.125, 0.75), (0.625, 0.75), (0.5, 0.5))


@dataclass(frozen=True)
class Scene:
    """Data shared by frames that are rendered together, or that show the same mesh."""

    mesh: FaceMesh
    normals: torch.Tensor
    texture: MipTexture | None
    relief: MipTexture | None
    values: torch.Tensor
    backend: str
    topology: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    hair: tuple[Hair, ...] = ()

    @classmethod
    def of(cls, mesh: FaceMesh, relief: MipTexture | None, backend: str, worn: tuple[Hair | None, ...]) -> Scene:
        """Build the scene with transposed topology, as :class:`facekit.render.surface.Facets` reads it."""
        texture = None if mesh.texture is None else MipTexture.build(mesh.texture)
        if relief is None and mesh.displacement is not None:
            relief = relief_of(mesh.displacement)
        hair = tuple(h for h in worn if h is not None)
        values = material_table(mesh, hair[0].cards if hair else None)
        faces, uvs, faces_uvs = (t.t().contiguous() for t in (mesh.faces, mesh.uvs, mesh.faces_uvs))
        topology = faces, uvs, faces_uvs
        return cls(mesh, vertex_normals(mesh.verts, mesh.faces), texture, relief, values, backend, topology, hair)

    def casters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return vertices (B, n, 3) and faces of the shadow casters: the head, and its hair as if it were opaque."""
        verts, faces = self.mesh.verts, self.mesh.faces
        if not self.hair:
            return verts, faces
        cards, count = self.hair[0].cards, max(len(verts), len(self.hair))
        hair = torch.stack([h.verts for h in self.hair]).expand(count, -1, -1)
        strands = cards.faces[cards.on_scalp[cards.faces[:, 0]]]
        return torch.cat((verts.expand(count, -1, -1), hair), dim=1), torch.cat((faces, strands + verts.shape[1]))

    @property
    def scalp(self) -> torch.Tensor | None:
        """Return the skin tone under hair, (3,) sRGB."""
        return self.hair[0].cap_colour if self.hair else None


@dataclass(frozen=True)
class Frames:
    """Frames as seen by the camera: points and normals (3, b * V), rotation (b, 3, 3).

    ``step`` (b, 2) is the distance between the rays of neighbouring pixels at depth 1, horizontal and vertical,
    ``pixel`` (b,) their mean; ``centre`` (b, 2) the principal point in pixels.
    """

    points: torch.Tensor
    normals: torch.Tensor
    rotation: torch.Tensor
    step: torch.Tensor
    pixel: torch.Tensor
    centre: torch.Tensor
    texture: MipTexture | None


def pictures_of(
    scene: Scene, cameras: Camera, lights: Lights, height: int, width: int, high: bool, behind: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """Return the columns of :class:`RenderOutput` for some frames."""
    mesh = scene.mesh
    verts, normals = mesh.verts, scene.normals
    batch = max(len(cameras), len(verts))
    rotation = cameras.rotation().expand(batch, 3, 3)
    points = cameras.view(verts).expand(batch, -1, -1)
    turned = (normals @ rotation[: len(cameras)].transpose(1, 2)).expand(batch, -1, -1)
    intrinsics = cameras.intrinsics((height, width)).expand(batch, 4)
    step = 1.0 / intrinsics[:, :2]
    square = bool((cameras.aspect == 1).all())
    pixel = step[:, 1] if square else step.prod(1).sqrt()
    spots, normals = (t.permute(2, 0, 1).reshape(3, -1).contiguous() for t in (points, turned))
    frames = Frames(spots, normals, rotation, step, pixel, intrinsics[:, 2:], scene.texture)

    on_screen = pixel_points(verts, cameras, height, width)
    triangles = visibility(on_screen, mesh.faces, height, width, near=cameras.near_plane(verts), backend=scene.backend)
    ids, seen = (t.view(batch, height, width) for t in triangles.nearest())
    if not high:
        linear, alpha, surfaces = _passes(scene, frames, lights, triangles, ids, seen, 1, None)
        depth, normal = _fill(ids, flat_indices(ids >= 0), *surfaces)
        fine = depth
    else:
        lit = bool(lights.lights) and not lights.unlit
        shadow = key_shadow(*scene.casters(), lights, cameras, 2 * height) if lit else None
        fine, seen = (t.view(batch, 2 * height, 2 * width) for t in triangles.nearest(scale=2))
        linear, alpha, _ = _passes(scene, frames, lights, triangles, fine, seen, 2, shadow)
        depth, normal = _buffers(scene, frames, ids)
        fine = seen.view(batch, 1, 2 * height, 2 * width)
    if not scene.hair:
        linear, alpha = (halve(linear), halve(alpha)) if high else (linear, alpha)
        return resolve(linear, alpha, behind), alpha, depth, normal, ids
    linear, alpha, cover, depth, normal, ids = _with_hair(
        scene, cameras, lights, (linear, alpha, fine), (depth, normal, ids)
    )
    return resolve(linear, alpha, behind), alpha, depth, normal, ids, cover


def _with_hair(scene: Scene, cameras: Camera, lights: Lights, picture: tuple, buffers: tuple) -> list[torch.Tensor]:
    """Blend hair over linear colours, alpha and depth of some frames (at twice the resolution in high quality), and
    over the per-pixel buffers: return colours, alpha, coverage by hair, depth, normals and ids, all at pixel
    resolution.
    """
    linear, alpha, fine = (t.clone() for t in picture)
    cover = torch.zeros_like(alpha)
    depth, normal, ids = buffers
    shrunk = fine.shape[2] > depth.shape[2]
    far, bent = torch.full_like(fine, torch.inf), linear.new_zeros(linear.shape)
    kind = torch.zeros_like(fine, dtype=torch.int64)
    for k in range(len(linear)):
        camera = cameras if len(cameras) == 1 else cameras[k]
        hair = scene.hair[k if len(scene.hair) > 1 else 0]
        rows, columns = window(hair, camera, fine.shape[2:])
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if min(size) <= 0:
            continue
        some = (k, slice(None), rows, columns)
        part = camera.crop(rows.start, columns.start, size, (fine.shape[2], fine.shape[3]))
        near = lights.of_frames(slice(k, k + 1))
        layers = hair_layers(hair, part, near, size, fine[some][0], alpha[some][0])
        linear[some], alpha[some] = layers.over(linear[some], alpha[some])
        cover[some], far[some], bent[some] = 1.0 - layers.through, layers.depth, layers.normal
        kind[some] = layers.part
    if shrunk:
        linear, alpha, cover = halve(linear), halve(alpha), halve(cover)
        far, bent, kind = (t[:, :, ::2, ::2] for t in (far, bent, kind))
    hides = (far < torch.inf) & (cover > 0.5)
    normal = torch.where(hides, bent, normal)
    ids = torch.where(hides[:, 0], HIDDEN - kind[:, 0], ids)
    return [linear, alpha, cover, torch.where(hides, far, depth), normal, ids]


def _frame(place: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the frame (P,) int64 of flat indices into ``ids`` (b, H, W)."""
    return torch.zeros_like(place) if len(ids) == 1 else place // ids[0].numel()


def _rays(
    frames: Frames, place: torch.Tensor, ids: torch.Tensor, scale: int, spot: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return frames (P,) and ray directions (2, P) of flat indices into ``ids`` (b, H, W), and the angle of a pixel
    (b,).

    ``spot`` is the position in the pixel: 0 to 3 for the four samples, 4 (the default) for the centre.
    """
    batch, height, width = ids.shape
    frame = _frame(place, ids)
    rest = (place if batch == 1 else place - frame * (height * width)).to(torch.float64)
    # Float64 is exact here, and dividing takes a tenth of the time of integers.
    row = (rest / width).floor_()
    x, y = (rest - row * width).to(torch.float32), row.to(torch.float32)
    if spot is None:
        x, y = x + 0.5, y + 0.5
    else:
        across, down = x.new_tensor(_SPOTS).t().contiguous()
        x, y = x + across.index_select(0, spot), y + down.index_select(0, spot)
    step, centre = frames.step / scale, frames.centre * scale
    if batch == 1:
        (across, down), (cx, cy) = step[0], centre[0]
    else:
        (across, down), (cx, cy) = (t.t().contiguous().index_select(1, frame) for t in (step, centre))
    return frame, torch.stack(((x - cx) * across, (cy - y) * down)), frames.pixel / scale


def _facets(
    scene: Scene, frames: Frames, place: torch.Tensor, face: torch.Tensor, ids: torch.Tensor
) -> tuple[Facets, torch.Tensor]:
    face = face if len(ids) == 1 else face + _frame(place, ids) * len(scene.mesh.faces)
    relief = scene.relief is not None
    return Facets.of(frames.points, frames.normals, scene.values, *scene.topology, face, relief, len(ids))


def _buffers(scene: Scene, frames: Frames, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return depth and normals at pixel centres."""
    place = flat_indices(ids >= 0)
    facets, index = _facets(scene, frames, place, ids.view(-1).index_select(0, place), ids)
    frame, ray, pixel = _rays(frames, place, ids, 1)
    found = surface(facets, index, frame, ray, pixel, scene.relief)
    return _fill(ids, place, found.depth, found.normal)


def _fill(ids: torch.Tensor, place: torch.Tensor, distance: torch.Tensor, normal: torch.Tensor) -> tuple:
    batch, height, width = ids.shape
    depth = torch.full((ids.numel(),), float("inf"), device=ids.device).scatter_(0, place, distance)
    return depth.view(batch, 1, height, width), _pictured(_scattered(normal, place, ids.numel()), ids)


def _scattered(values: torch.Tensor, place: torch.Tensor, total: int) -> list[torch.Tensor]:
    """Scatter rows (C, P) to flat indices: C rows (total,), zero elsewhere."""
    return [values.new_zeros(total).scatter_(0, place, row) for row in values]


def _pictured(rows: list[torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """Reshape C rows (b * H * W,) to (b, C, H, W)."""
    return torch.stack([row.view(ids.shape) for row in rows], dim=1)


def _passes(
    scene: Scene,
    frames: Frames,
    lights: Lights,
    triangles: Visibility,
    ids: torch.Tensor,
    seen: torch.Tensor,
    scale: int,
    shadow: Callable[[Surface], torch.Tensor] | None,
) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Shade one sample inside, four at edges: return linear colour times alpha, alpha; depth and normals of covered
    pixels.
    """
    batch, height, width = ids.shape
    flat = ids.view(-1)
    covered = flat >= 0
    place = flat_indices(covered)
    count = place.numel()
    edge = flat_indices(edges(seen, frames.pixel / scale))
    slots = torch.full_like(flat, -1).scatter_(0, edge, torch.arange(edge.numel(), device=ids.device))
    fine = triangles.nearest(scale=scale, grid=2, shear=_SHEAR, slots=slots)[0].view(-1)
    sub = flat_indices(fine >= 0)
    owner = sub >> 2
    at = torch.cat((place, edge.index_select(0, owner)))
    spot = torch.cat((torch.full_like(place, 4), sub & 3))
    facets, index = _facets(scene, frames, at, torch.cat((flat.index_select(0, place), fine.index_select(0, sub))), ids)

    colours, depths, normals = [], [], []
    piece = _PIECE_CUDA if ids.is_cuda else _PIECE_CPU
    for part in (slice(start, start + piece) for start in range(0, max(len(at), 1), piece)):
        frame, ray, pixel = _rays(frames, at[part], ids, scale, spot[part])
        found = surface(facets, index[part], frame, ray, pixel, scene.relief)
        dim = None if shadow is None else shadow(found)
        colours.append(shade(found, frames.texture, lights, frames.rotation, dim, scene.scalp))
        depths.append(found.depth)
        normals.append(found.normal)
    colour = torch.cat(colours, 1)

    rows = _scattered(colour[:, :count], place, ids.numel())
    for row, fine_row in zip(rows, colour[:, count:], strict=True):
        row.scatter_(0, edge, colour.new_zeros(edge.numel()).index_add_(0, owner, fine_row) * 0.25)
    share = colour.new_zeros(edge.numel()).index_add_(0, owner, colour.new_ones(owner.numel())) * 0.25
    alpha = covered.to(torch.float32).scatter_(0, edge, share).view(batch, 1, height, width)
    return _pictured(rows, ids), alpha, (torch.cat(depths)[:count], torch.cat(normals, 1)[:, :count])


def edges(depth: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    """Return the pixels (b, H, W) that need more than one sample: along silhouettes and depth discontinuities.

    1 / depth is linear in screen space over a flat face, however steep: its second difference is large only at jumps
    and creases.
    """
    inverse = 1.0 / depth
    padded = torch.nn.functional.pad(inverse[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]).sub_(inverse, alpha=2.0).abs_()
    down = (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]).sub_(inverse, alpha=2.0).abs_()
    # A jump of dz changes 1 / z by dz / z²; the threshold is 0.7 pixel widths.
    return torch.maximum(across, down) > inverse * (0.7 * pixel[:, None, None])
