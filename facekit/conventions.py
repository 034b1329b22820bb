"""Axes, units, names and orders that every part of facekit shares.

* Vertices: right-handed, millimetres, +Y up, +Z out of the face toward the viewer, +X to the image right for a viewer
  of the face, which is the *subject's left*. ``*_left`` always means the subject's left.
* UVs: origin bottom-left as in OBJ; texel edges at 0 and 1 (``align_corners=False``).
* Images: RGB float32 in [0, 1], shape (B, 3, H, W), row 0 at the top; albedo is sRGB-encoded unless its name says
  ``linear``.
* Meshes: verts (B, V, 3) float32 mm, faces (F, 3) int64, uvs (T, 2) float32, faces_uvs (F, 3) int64.
* Displacement: signed millimetres along the smooth vertex normal, (B, 1, H, W).
* Rendering: vertical field of view in degrees, pixel centres at +0.5, depth in mm along the optical axis, straight
  alpha, background face id -1 and depth inf, normals in camera space; positive azimuth shows the subject's left side.

Other systems (glTF: metres and UV origin top-left; PyTorch3D: +X left) are converted at the interface, in one place
each.
"""

from __future__ import annotations

#: The 20 FaceScape expressions (Yang et al., CVPR 2020), in the order of the expression code.
EXPRESSIONS: tuple[str, ...] = (
    "neutral",
    "smile",
    "mouth_stretch",
    "anger",
    "jaw_left",
    "jaw_right",
    "jaw_forward",
    "mouth_left",
    "mouth_right",
    "dimpler",
    "chin_raiser",
    "lip_puckerer",
    "lip_funneler",
    "sadness",
    "lip_roll",
    "grin",
    "cheek_blowing",
    "eye_closed",
    "brow_raiser",
    "brow_lower",
)

#: The expressions that a face is morphed into; the neutral face is the base mesh.
MORPH_TARGETS: tuple[str, ...] = EXPRESSIONS[1:]

_BOTH_EYES = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")

#: ARKit's 52 blendshapes in ARKit's order, weights in [0, 1]; ``…Left`` is the subject's left.
BLENDSHAPES: tuple[str, ...] = (
    *(f"eye{name}Left" for name in _BOTH_EYES),
    *(f"eye{name}Right" for name in _BOTH_EYES),
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)

#: Rotation of an eye in degrees at weight 1 of eyeLookIn or eyeLookOut, and of eyeLookUp or eyeLookDown.
GAZE_ACROSS, GAZE_UP = 35.0, 25.0

#: Blendshapes that rotate the eyes: name, axis (0 to the subject's left, 1 up), and sign.
GAZE_SHAPES: tuple[tuple[str, int, int], ...] = (
    ("eyeLookOutLeft", 0, 1),
    ("eyeLookInRight", 0, 1),
    ("eyeLookInLeft", 0, -1),
    ("eyeLookOutRight", 0, -1),
    ("eyeLookUpLeft", 1, 1),
    ("eyeLookUpRight", 1, 1),
    ("eyeLookDownLeft", 1, -1),
    ("eyeLookDownRight", 1, -1),
)

#: Part ids of the template's vertices and of its atlas.
PARTS: tuple[str, ...] = ("skin", "lips", "lids", "eyes", "teeth", "mouth", "back_of_head", "neck")

#: The groups of the 68 iBUG landmarks (300-W); right and left are the subject's. Contours run from the image left.
LANDMARK_GROUPS: dict[str, slice] = {
    "jaw": slice(0, 17),
    "right_brow": slice(17, 22),
    "left_brow": slice(22, 27),
    "brows": slice(17, 27),
    "nose_bridge": slice(27, 31),
    "nostrils": slice(31, 36),
    "nose": slice(27, 36),
    "right_eye": slice(36, 42),
    "left_eye": slice(42, 48),
    "eyes": slice(36, 48),
    "outer_lips": slice(48, 60),
    "inner_lips": slice(60, 68),
    "mouth": slice(48, 68),
}
#: Single landmarks: tip of the chin, tip of the nose, root of the nose.
CHIN, NOSE_TIP, NOSE_ROOT = 8, 30, 27

#: Sizes of the latent fields, named as in 3DFaceCAM (Rai et al., WACV 2023).
IDENTITY_DIM = 20
EXPRESSION_DIM = len(EXPRESSIONS)
BLENDSHAPE_DIM = len(BLENDSHAPES)
SHAPE_NOISE_DIM = 5
TEXTURE_NOISE_DIM = 128

#: Larger intensities extrapolate beyond training: allowed, with a warning.
MAX_INTENSITY = 1.5

MM_PER_METRE = 1000.0

AXES = {"x": "subject's left", "y": "up", "z": "out of the face", "handedness": "right", "units": "millimetres"}


def other_side(blendshape: str) -> str:
    """Return the name with left and right exchanged, the same for a name without sides."""
    return blendshape.replace("Left", "#").replace("Right", "Left").replace("#", "Right")


def muscle_of(blendshape: str) -> str:
    """Return the name of a blendshape without its side; jaw and mouth movements to a side are returned unchanged.

    >>> muscle_of("mouthSmileLeft"), muscle_of("jawLeft")
    ('mouthSmile', 'jawLeft')
    """
    if blendshape in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return blendshape
    return blendshape.removesuffix("Left").removesuffix("Right")
