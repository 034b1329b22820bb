"""Motion of faces: tracks of blendshapes and head poses, their files, and playback."""

from __future__ import annotations

from facekit.motion.motion import Motion

__all__ = ["Motion"]
