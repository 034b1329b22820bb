"""render(): make pictures of a mesh with a camera and lights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch

from facekit import forks
from facekit.errors import InputError
from facekit.hair import Hair
from facekit.mesh import FaceMesh
from facekit.render.backends import choose
from facekit.render.camera import HAIR_FRAMING, Camera
from facekit.render.frames import side_by_side
from facekit.render.labels import Labels
from facekit.render.lights import Lights
from facekit.render.memory import frame_bytes, frames_at_once, free_memory
from facekit.render.output import Background, RenderOutput, background_of
from facekit.render.passes import Scene, pictures_of
from facekit.render.pinhole import scene_unit, size_of
from facekit.render.relief import relief_of
from facekit.torch_defaults import with_torch_defaults

#: Hair of the heads: the same for all, or one per head.
Hairs = Hair | Sequence[Hair | None] | None

#: Distance between the outer corners of the eyes, mm.
_EYE_CORNERS = 90.0
#: Memory in bytes per pixel of the result.
_BYTES_A_PIXEL = 40


@with_torch_defaults
def render(
    mesh: FaceMesh,
    camera: Camera | None = None,
    image_size: int | tuple[int, int] = 512,
    lights: str | Lights = "studio",
    quality: str = "standard",
    background: Background = None,
    backend: str = "auto",
    hair: Hairs = None,
) -> RenderOutput:
    """Render meshes.

    Differentiable with respect to the mesh's vertices, texture, colours and displacement, the camera and ``lights.sh``
    inside of the silhouette. Visibility itself is not differentiable, see :func:`facekit.render.silhouette`. The result
    does not depend on the mesh's unit.

    Parameters
    ----------
    mesh:
        B meshes. Without a texture, vertex colours are used, and without these, clay; without parts all is skin,
        without ao nothing is occluded. A displacement map bends the shading normals per texel; silhouettes and shadows
        are those of the triangles.
    camera:
        N cameras, B and N equal or one of them 1; by default :func:`default_camera`.
    image_size:
        Size in pixels, or (height, width).
    lights:
        "studio", "daylight", "rim", "flat" (the albedo alone), or your own :class:`Lights`.
    quality:
        "standard": four samples per pixel at edges, one inside. "high": four times as many of both, and a soft shadow
        of the key light.
    background:
        "studio", "transparent", an sRGB triple in [0, 1], or None for the default of the lights.
    backend:
        Visibility backend: "torch", "pytorch3d" (very slow on a CPU) or "auto", which is torch. The picture is the
        same. Hair is always rasterized by torch.
    hair:
        Hair of the heads: one :class:`facekit.hair.Hair` or None for all, or one of these for each of B meshes. Hair
        cards are blended in depth order; pixels that are mostly hair have its depth and normal, and face id -1.
    """
    forks.guard()
    forks.check(mesh.verts.device)
    worn = hair_of(hair, len(mesh))
    view = default_camera(mesh, worn) if camera is None else camera
    light = Lights.preset(lights) if isinstance(lights, str) else lights
    height, width = size_of(image_size)
    if quality not in ("standard", "high"):
        raise InputError('quality "standard" or "high"', repr(quality), "choose one of them")
    count = frame_count(mesh, view)
    if len(mesh) > 1 and not _alike(worn):
        options = {"quality": quality, "background": background, "backend": backend}

        def alone(k: int) -> RenderOutput:
            camera, own = view if len(view) == 1 else view[k], light.of_frames(slice(k, k + 1))
            return render(mesh[k], camera, (height, width), own, hair=worn[k], **options)

        return RenderOutput.cat(list(side_by_side(alone, range(count), mesh.verts.device)))
    if light.sh is not None and light.sh.ndim == 3 and len(light.sh) not in (1, count):
        raise InputError(f"spherical harmonics for {count} pictures, or one set", f"{len(light.sh)}", "match them")
    behind = background_of(light.background if background is None else background, height, width, mesh.verts)
    view = view.to(mesh.verts.device)
    backend = choose(backend, height, width, mesh.verts.device)
    learned = (mesh.verts, mesh.texture, mesh.vertex_colors, mesh.displacement, light.sh, *view.tensors())
    wants = any(t is not None and t.requires_grad for t in learned)
    labels = Labels.of(mesh, view, (height, width), count)
    unit = scene_unit(mesh.verts)
    if unit != 1.0:
        mesh, view = _in_unit(mesh, unit), view.scaled(1.0 / unit)
    with torch.set_grad_enabled(wants and torch.is_grad_enabled()):
        columns = _all_frames(mesh, view, light, (height, width), count, quality == "high", behind, backend, worn)
    rgb, alpha, depth, normals, ids, *cover = columns
    depth = depth if unit == 1.0 else depth * unit
    strands = cover[0] if cover else None
    return RenderOutput(rgb, alpha, depth, normals, ids, transparent=behind is None, labels=labels, hair=strands)


def hair_of(hair: Hairs, count: int) -> tuple[Hair | None, ...]:
    """Return the hair of each of ``count`` meshes."""
    worn = (hair,) * count if hair is None or isinstance(hair, Hair) else tuple(hair)
    if len(worn) != count:
        raise InputError(f"hair for {count} meshes", f"{len(worn)}", "give one Hair or None for each")
    return worn


def _alike(worn: tuple[Hair | None, ...]) -> bool:
    """Return True if all have the same hair, or none: then they are rendered as one scene."""
    first = worn[0]
    if first is None or any(h is None for h in worn):
        return not any(worn)
    return all(h is not None and h.cards is first.cards and torch.equal(h.colour, first.colour) for h in worn)


def frame_count(mesh: FaceMesh, camera: Camera) -> int:
    """Return the number of pictures for a mesh and a camera.

    Raises
    ------
    InputError
        If neither number is 1 and they differ.
    """
    count = max(len(mesh), len(camera))
    if len(mesh) not in (1, count) or len(camera) not in (1, count):
        raise InputError("as many cameras as meshes, or one", f"{len(camera)} for {len(mesh)}", "match their numbers")
    return count


def _all_frames(
    mesh: FaceMesh,
    camera: Camera,
    lights: Lights,
    size: tuple[int, int],
    count: int,
    high: bool,
    behind: torch.Tensor | None,
    backend: str,
    worn: tuple[Hair | None, ...],
) -> list[torch.Tensor]:
    """Return the columns of :class:`RenderOutput`, rendering as many frames at a time as fit into memory."""
    heights = mesh.displacement
    shared = relief_of(heights) if heights is not None and heights.stride(0) == 0 else None
    each = frame_bytes(mesh, *size, 4 if high else 1)
    # On a CPU the result does not count toward the limit, which only keeps lists small.
    result = count * size[0] * size[1] * _BYTES_A_PIXEL if mesh.verts.is_cuda else 0
    step = frames_at_once(count, each, result, free_memory(mesh.verts.device))
    # Mip pyramids and normals of a single mesh are shared by all cameras; those of many are made per chunk.
    hair = tuple(h for h in worn if h is not None)
    scene = Scene(mesh, shared, backend, hair) if len(mesh) == 1 else None

    def pictures(some: slice) -> tuple[torch.Tensor, ...]:
        own = Scene(mesh[some], shared, backend, hair[some]) if scene is None else scene
        cameras = camera if len(camera) == 1 else camera[some]
        return pictures_of(own, cameras, lights.of_frames(some), *size, high, behind)

    chunks = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    if scene is not None and len(chunks) > 1:
        scene.prepare()  # once, not in each thread
    columns = None
    for some, parts in zip(chunks, side_by_side(pictures, chunks, mesh.verts.device), strict=True):
        columns = _gathered(columns, parts, some, count)
    assert columns is not None  # there is at least one frame
    return [torch.cat(column) for column in columns] if torch.is_grad_enabled() else columns


@with_torch_defaults
def default_camera(mesh: FaceMesh, hair: tuple[Hair | None, ...] = ()) -> Camera:
    """Return the default camera for a mesh.

    A face with landmarks gets :meth:`Camera.front`, scaled to the unit of its vertices; any other mesh
    :meth:`Camera.fit`. With hair the view is wider, the same for every style.
    """
    if mesh.landmarks is None or len(mesh.landmarks) != 68:
        return Camera.fit(mesh)
    with torch.no_grad():
        corners = mesh.verts[0, mesh.landmarks[[36, 45]]]
        wide = float((corners[1] - corners[0]).norm())
    if not (math.isfinite(wide) and wide > 0):
        return Camera.front()
    unit = 10.0 ** round(math.log10(wide / _EYE_CORNERS))
    roomy = any(h is not None and bool(h.cards.on_scalp.any()) for h in hair)
    front = Camera.front(**HAIR_FRAMING) if roomy else Camera.front()
    return front if unit == 1.0 else front.scaled(unit)


def _in_unit(mesh: FaceMesh, unit: float) -> FaceMesh:
    relief = None if mesh.displacement is None else mesh.displacement / unit
    return dataclasses.replace(mesh, verts=mesh.verts / unit, displacement=relief)


def _gathered(columns: list | None, parts: tuple[torch.Tensor, ...], some: slice, count: int) -> list:
    """Write some frames' results into the final tensors, so that nothing is stored twice. With gradients, which forbid
    writing in place, collect lists to be concatenated at the end.
    """
    if torch.is_grad_enabled():
        return [[*before, part] for before, part in zip(columns or [[]] * len(parts), parts, strict=True)]
    if some == slice(0, count):
        return list(parts)
    if columns is None:
        columns = [part.new_empty(count, *part.shape[1:]) for part in parts]
    for column, part in zip(columns, parts, strict=True):
        column[some] = part
    return columns
