"""Rendering of meshes: cameras, lights, a rasterizer in plain torch and a deferred shader."""

from __future__ import annotations

from facekit.calling import make_callable
from facekit.render.camera import Camera
from facekit.render.lights import PRESETS, Light, Lights
from facekit.render.output import RenderOutput
from facekit.render.rasterize import rasterize
from facekit.render.render import render
from facekit.render.silhouette import silhouette

__all__ = ["PRESETS", "Camera", "Light", "Lights", "RenderOutput", "rasterize", "render", "silhouette"]

make_callable(__name__, "render")
