"""The passes that make pictures of a scene: visibility, shading of samples, hair, and what is seen per pixel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from facekit.geometry.lists import flat_indices
from facekit.geometry.mip import MipTexture, halve
from facekit.geometry.normals import vertex_normals
from facekit.hair import Hair
from facekit.mesh import FaceMesh
from facekit.render.backends import visibility
from facekit.render.camera import Camera
from facekit.render.frames import together
from facekit.render.lights import Lights
from facekit.render.materials import material_table
from facekit.render.output import resolve
from facekit.render.rasterize import pixel_points
from facekit.render.relief import relief_of
from facekit.render.samples import SPOTS, Samples
from facekit.render.shading import shade
from facekit.render.shadows import key_shadow
from facekit.render.surface import Facets, Surface, surface
from facekit.render.worn import Worn

#: Number of samples shaded at once: on a CPU so few that their lists fit into its caches.
_PIECE_CPU, _PIECE_CUDA = 1 << 16, 1 << 22


@dataclass(frozen=True)
class Scene:
    """Data shared by frames that are rendered together, or that show the same mesh; made when it is first needed.

    Parameters
    ----------
    shared:
        Relief of the mesh, if it is known.
    hair:
        Hair of each mesh, or none.
    """

    mesh: FaceMesh
    shared: MipTexture | None
    backend: str
    hair: tuple[Hair, ...] = ()

    @functools.cached_property
    def normals(self) -> torch.Tensor:
        """(B, V, 3) unit normals."""
        return vertex_normals(self.mesh.verts, self.mesh.faces)

    @functools.cached_property
    def texture(self) -> MipTexture | None:
        """Mip chain of the mesh's texture."""
        return None if self.mesh.texture is None else MipTexture.build(self.mesh.texture)

    @functools.cached_property
    def relief(self) -> MipTexture | None:
        """Result of :func:`facekit.render.relief.relief_of`."""
        heights = self.mesh.displacement
        return self.shared if self.shared is not None or heights is None else relief_of(heights)

    @functools.cached_property
    def values(self) -> torch.Tensor:
        """Result of :func:`facekit.render.materials.material_table`."""
        return material_table(self.mesh, self.hair[0].cards if self.hair else None)

    @functools.cached_property
    def topology(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Faces, UVs and faces of the UVs, transposed as :class:`facekit.render.surface.Facets` reads them."""
        faces, uvs, faces_uvs = (t.t().contiguous() for t in (self.mesh.faces, self.mesh.uvs, self.mesh.faces_uvs))
        return faces, uvs, faces_uvs

    def prepare(self) -> None:
        """Make all of it."""
        for name in ("normals", "texture", "relief", "values", "topology"):
            getattr(self, name)

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
        """Return the skin tone under hair, (3,) sRGB; None where there is no such skin."""
        return self.hair[0].cap_colour if self.hair and self.hair[0].cards.covers_skin else None


@dataclass(frozen=True)
class Frames:
    """Frames as seen by the camera: points and normals (3, b * V), rotation (b, 3, 3).

    ``step`` (b, 2) is the distance between the rays of neighbouring pixels at depth 1, horizontal and vertical,
    ``pixel`` (b,) their mean; ``centre`` (b, 2) the principal point in pixels; ``middle`` (3, b) that of the vertices.
    """

    points: torch.Tensor
    normals: torch.Tensor
    rotation: torch.Tensor
    step: torch.Tensor
    pixel: torch.Tensor
    centre: torch.Tensor
    middle: torch.Tensor
    texture: MipTexture | None


def pictures_of(
    scene: Scene, cameras: Camera, lights: Lights, height: int, width: int, high: bool, behind: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """Return the columns of :class:`RenderOutput` for some frames."""
    mesh = scene.mesh
    verts = mesh.verts
    batch = max(len(cameras), len(verts))
    intrinsics = cameras.intrinsics((height, width)).expand(batch, 4)
    step = 1.0 / intrinsics[:, :2]
    square = bool((cameras.aspect == 1).all())
    pixel = step[:, 1] if square else step.prod(1).sqrt()
    on_screen, near = pixel_points(verts, cameras, height, width), cameras.near_plane(verts)
    triangles = visibility(on_screen, mesh.faces, height, width, near=near, backend=scene.backend)
    ids, seen = (t.view(batch, height, width) for t in triangles.nearest())
    if high:
        fine, seen = (t.view(batch, 2 * height, 2 * width) for t in triangles.nearest(scale=2))
        samples = Samples.of(triangles, fine, seen, pixel / 2, 2)
    else:
        samples = Samples.of(triangles, ids, seen, pixel)
    alpha, worn = samples.alpha, None
    if scene.hair:
        # Hair comes first: what it hides of the head need not be shaded. What shading needs is made beside it.
        def draw() -> Worn:
            return Worn.of(scene.hair, cameras, lights, near, seen[:, None], alpha)

        worn = draw() if torch.is_grad_enabled() else together(draw, scene.prepare, verts.device)[0]
        samples = samples.outside(worn.hidden)
    rotation = cameras.rotation().expand(batch, 3, 3)
    points = cameras.view(verts).expand(batch, -1, -1)
    turned = (scene.normals @ rotation[: len(cameras)].transpose(1, 2)).expand(batch, -1, -1)
    spots, normals = (t.permute(2, 0, 1).reshape(3, -1).contiguous() for t in (points, turned))
    middle = points.mean(1).t()
    frames = Frames(spots, normals, rotation, step, pixel, intrinsics[:, 2:], middle, scene.texture)
    if high:
        lit = bool(lights.lights) and not lights.unlit
        shadow = key_shadow(*scene.casters(), lights, cameras, 2 * height) if lit else None
        linear, _, _ = _shaded(scene, frames, lights, samples, 2, shadow)
        depth, normal = _buffers(scene, frames, ids)
    else:
        linear, depth, normal = _shaded(scene, frames, lights, samples, 1, None)
    if worn is not None:
        linear, alpha = worn.over(linear, alpha)
    if high:
        linear, alpha = halve(linear), halve(alpha)
    rgb = resolve(linear, alpha, behind)
    if worn is None:
        return rgb, alpha, depth, normal, ids
    cover, depth, normal, ids = worn.before(depth, normal, ids)
    return rgb, alpha, depth, normal, ids, cover


def _frame(place: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return the frame (P,) int64 of flat indices into pictures (b, H, W)."""
    return torch.zeros_like(place) if shape[0] == 1 else place // shape[1:].numel()


def _rays(
    frames: Frames, place: torch.Tensor, shape: torch.Size, scale: int, spot: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return frames (P,) and ray directions (2, P) of flat indices into pictures (b, H, W), and the angle of a pixel
    (b,).

    ``spot`` is the position in the pixel, an index into :data:`facekit.render.samples.SPOTS`.
    """
    batch, height, width = shape
    frame = _frame(place, shape)
    rest = (place if batch == 1 else place - frame * (height * width)).to(torch.float64)
    # Float64 is exact here, and dividing takes a tenth of the time of integers.
    row = (rest / width).floor_()
    x, y = (rest - row * width).to(torch.float32), row.to(torch.float32)
    across, down = x.new_tensor(SPOTS).t().contiguous().index_select(1, spot)
    x, y = x + across, y + down
    step, centre = frames.step / scale, frames.centre * scale
    if batch == 1:
        (across, down), (cx, cy) = step[0], centre[0]
    else:
        (across, down), (cx, cy) = (t.t().contiguous().index_select(1, frame) for t in (step, centre))
    return frame, torch.stack(((x - cx) * across, (cy - y) * down)), frames.pixel / scale


def _buffers(scene: Scene, frames: Frames, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return depth and normals at pixel centres."""
    place = flat_indices(ids >= 0)
    none = place[:0]
    samples = Samples(ids.shape, place, none, none, ids.view(-1).index_select(0, place), torch.full_like(place, 4))
    facets, index = _facets(scene, frames, samples)
    found = surface(facets, index, *_rays(frames, place, ids.shape, 1, samples.spot), scene.relief)
    return samples.middle(found.depth[None], torch.inf), samples.middle(found.normal)


def _facets(scene: Scene, frames: Frames, samples: Samples) -> tuple[Facets, torch.Tensor]:
    face, batch, relief = samples.face, samples.shape[0], scene.relief is not None
    if batch > 1:
        face = face + _frame(samples.at, samples.shape) * len(scene.mesh.faces)
    return Facets.of(frames.points, frames.normals, scene.values, *scene.topology, face, relief, batch)


def _shaded(
    scene: Scene,
    frames: Frames,
    lights: Lights,
    samples: Samples,
    scale: int,
    shadow: Callable[[Surface], torch.Tensor] | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shade samples: return linear colour times alpha, and depth and normals in the middle of pixels."""
    at = samples.at
    facets, index = _facets(scene, frames, samples)
    colours, depths, normals = [], [], []
    piece = _PIECE_CUDA if at.is_cuda else _PIECE_CPU
    for part in (slice(start, start + piece) for start in range(0, max(len(at), 1), piece)):
        frame, ray, pixel = _rays(frames, at[part], samples.shape, scale, samples.spot[part])
        found = surface(facets, index[part], frame, ray, pixel, scene.relief)
        dim = None if shadow is None else shadow(found)
        colours.append(shade(found, frames.texture, lights, frames.rotation, frames.middle, dim, scene.scalp))
        depths.append(found.depth)
        normals.append(found.normal)
    linear = samples.mean(torch.cat(colours, 1))
    return linear, samples.middle(torch.cat(depths)[None], torch.inf), samples.middle(torch.cat(normals, 1))
