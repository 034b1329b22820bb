"""Motion of faces: takes of blendshapes and head poses, their files, and playing them."""

from __future__ import annotations

from facekit.motion.motion import Motion

__all__ = ["Motion"]
