"""Conversion of meshes with textures and of cameras to and from PyTorch3D. All of its conventions are handled here.

Its camera space has +X left, +Y up and +Z into the scene, ours +X right, +Y up and +Z toward the viewer: half a turn
about Y. Only the camera's rotation changes; vertices, UVs and images are passed unchanged.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from facekit.errors import InputError, MissingDependencyError
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.renderer.cameras import CamerasBase
    from pytorch3d.structures import Meshes

    from facekit.render.camera import Camera


def pytorch3d(module: str = "pytorch3d") -> ModuleType:
    """Import a module of PyTorch3D, or raise with instructions to install it: the package index has no wheels."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            "the package 'pytorch3d' for its rasterizer and its structures",
            f"{error}",
            "facekit doctor names the wheel for this Python, torch and CUDA, and the source build",
        ) from error


def mesh_to(mesh: FaceMesh) -> Meshes:
    """Convert to ``Meshes`` with the same vertices, faces and UVs, and ``TexturesUV`` with our sampling convention.

    Texel edges lie at 0 and 1 (``align_corners=False``), and the border is repeated. A mesh without a texture gets no
    ``TexturesUV``. Tensors are shared, and gradients are kept. Displacement, occlusion, parts and landmarks are
    dropped.
    """
    batch, textures = len(mesh), None
    if mesh.texture is not None:
        textures = pytorch3d("pytorch3d.renderer").TexturesUV(
            maps=mesh.texture.permute(0, 2, 3, 1),
            faces_uvs=mesh.faces_uvs.expand(batch, -1, -1),
            verts_uvs=mesh.uvs.expand(batch, -1, -1),
            align_corners=False,
            padding_mode="border",
        )
    meshes = pytorch3d("pytorch3d.structures").Meshes
    return meshes(verts=mesh.verts, faces=mesh.faces.expand(batch, -1, -1), textures=textures)


def mesh_from(meshes: Meshes, like: FaceMesh | None = None) -> FaceMesh:
    """Convert ``Meshes`` with one topology to a :class:`FaceMesh` in mm.

    Parameters
    ----------
    meshes:
        Meshes with ``TexturesUV`` or without textures.
    like:
        Mesh of the same topology to copy ao, parts and landmarks from, and UVs if the meshes have none.

    Raises
    ------
    InputError
        If the topologies differ, or textures are not UV maps.
    """
    faces = meshes.faces_list()
    same = all(f.shape == faces[0].shape and torch.equal(f, faces[0]) for f in faces)
    if not len(faces) or not same or len({len(v) for v in meshes.verts_list()}) != 1:
        raise InputError("meshes that share one topology", f"{len(faces)} different meshes", "convert one by one")
    verts, faces = meshes.verts_padded().to(torch.float32), faces[0].to(torch.int64)
    ao = parts = landmarks = None
    if like is not None:
        if not torch.equal(like.faces, faces):
            raise InputError("a mesh with the same topology for like=", "other faces", "pass the mesh it came from")
        ao, parts, landmarks = like.ao, like.parts, like.landmarks
    textures = meshes.textures
    if textures is None:
        uvs, corners = (verts.new_zeros(1, 2), torch.zeros_like(faces)) if like is None else (like.uvs, like.faces_uvs)
        return FaceMesh(verts, faces, uvs, corners, None, ao, parts, landmarks)
    if not hasattr(textures, "verts_uvs_padded"):
        raise InputError("TexturesUV, or no textures", type(textures).__name__, "bake the colours into a UV map")
    corners, uvs = textures.faces_uvs_padded(), textures.verts_uvs_padded()
    if not (corners == corners[:1]).all() or not (uvs == uvs[:1]).all():
        raise InputError("one UV layout for all meshes", "several", "convert one by one")
    texture, uvs = textures.maps_padded().permute(0, 3, 1, 2), uvs[0]
    if textures.align_corners:
        # Its texel centres lie at 0 and 1: convert to our convention, in which texel edges do.
        size = uvs.new_tensor([texture.shape[3], texture.shape[2]])
        uvs = (uvs * (size - 1.0) + 0.5) / size
    return FaceMesh(verts, faces, uvs, corners[0].to(torch.int64), texture, ao, parts, landmarks)


def camera_to(camera: Camera, height: int, width: int) -> PerspectiveCameras:
    """Convert to ``PerspectiveCameras`` in screen space for pictures of this size."""
    turn = camera.position.new_tensor([-1.0, 1.0, -1.0])
    # Its points are row vectors: X_view = X R + T.
    rotation = camera.rotation().transpose(1, 2) * turn
    shift = -(camera.position[:, None] @ rotation)[:, 0]
    intrinsics = camera.intrinsics((height, width))
    return pytorch3d("pytorch3d.renderer").PerspectiveCameras(
        focal_length=intrinsics[:, :2],
        principal_point=intrinsics[:, 2:],
        R=rotation,
        T=shift,
        in_ndc=False,
        image_size=intrinsics.new_tensor([[height, width]]).expand(len(camera), 2),
        device=camera.device,
    )


def camera_from(cameras: CamerasBase, height: int, width: int) -> dict[str, torch.Tensor]:
    """Return the arguments of our camera that is equivalent for pictures of this size.

    Focal lengths and principal point are measured by projecting four points with PyTorch3D's own camera, so that all of
    its camera types and units are supported. ``look_at`` is as far from the camera as the origin.

    Raises
    ------
    InputError
        If cameras are orthographic or have skewed pixels.
    """
    view = cameras.get_world_to_view_transform()
    matrix = view.get_matrix()
    rotation, shift = matrix[:, :3, :3], matrix[:, 3, :3]
    # As far away as the origin: at less distance the differences would drown in rounding.
    reach = shift.norm(dim=1).clamp_min(1.0)
    probes = matrix.new_tensor([[0.0, 0.0, 1.0], [-0.5, 0.0, 1.0], [0.0, 0.5, 1.0], [-1.0, 0.0, 2.0]])
    world = view.inverse().transform_points(probes * reach[:, None, None])
    screen = cameras.transform_points_screen(world, image_size=((height, width),))[..., :2]
    middle = screen[:, 0]
    fx, fy = 2.0 * (screen[:, 1] - middle)[:, 0], 2.0 * (middle - screen[:, 2])[:, 1]
    with torch.no_grad():
        across, down = (torch.stack((f, torch.zeros_like(f)), 1) / 2 for f in (fx, fy))
        expected = torch.stack((middle, middle + across, middle - down.flip(1), middle + across), 1)
    plain = bool((fx > 0).all()) and bool((fy > 0).all())
    if not plain or not torch.allclose(screen, expected, rtol=0, atol=1e-3 * max(height, width)):
        raise InputError("perspective cameras without skew", f"{type(cameras).__name__} with others", "see Camera")
    axes = rotation.transpose(1, 2) * matrix.new_tensor([-1.0, 1.0, -1.0])[:, None]
    position = -(shift[:, None] @ rotation.transpose(1, 2))[:, 0]
    ahead = -axes[:, 2] * position.norm(dim=1, keepdim=True).clamp_min(1.0)
    return {
        "position": position,
        "look_at": position + ahead,
        "up": axes[:, 1],
        "fov": 2 * torch.rad2deg(torch.atan(0.5 * height / fy)),
        "principal": middle / middle.new_tensor([width, height]),
        "aspect": fx / fy,
    }
