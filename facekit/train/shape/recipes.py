"""Recipes of the 20 expressions at intensity 1 as combinations of the pack's blendshapes, of neutral faces, and
caps.
"""

from __future__ import annotations


def _both(**weights: float) -> dict[str, float]:
    """Return the same weight for a shape's left and right half."""
    return {f"{name}_{side}": weight for name, weight in weights.items() for side in "LR"}


RECIPES: dict[str, dict[str, float]] = {
    "neutral": {},
    # Duchenne: cheeks rise, the upper lip bares the teeth. Cheeks push the lower lids up, and the upper ones, which
    # rest low, make room: in photographs, smiling people's eyes are open by 0.29 of their width.
    "smile": _both(
        mouthSmile=0.85,
        cheekSquint=0.60,
        eyeWide=0.20,
        mouthDimple=0.15,
        mouthUpperUp=0.30,
        mouthStretch=0.15,
        cheekRaiser=0.25,
    ),
    "mouth_stretch": {
        "jawOpen": 0.70,
        **_both(mouthUpperUp=0.30, mouthLowerDown=0.40, mouthStretch=0.20, eyeWide=0.50),
    },
    # The mouth distinguishes anger from sorrow and disgust: bared, clenched teeth, upper lip raised at the nose. With
    # pressed lips, an emotion recognition network saw sad or neutral on most people, whatever the brows did. The glare
    # is a raised upper lid (eyeWide) over a tight lower one.
    "anger": {
        "jawOpen": 0.03,
        **_both(
            browDown=1.2,
            eyeSquint=0.55,
            eyeWide=0.60,
            noseSneer=0.95,
            mouthUpperUp=0.20,
            mouthLowerDown=0.25,
            mouthStretch=0.10,
            mouthFrown=0.50,
        ),
    },
    "jaw_left": {"jawLeft": 1.0},
    "jaw_right": {"jawRight": 1.0},
    # The lower lip moves with the jaw, the upper one does not: a shrug closes the gap.
    "jaw_forward": {"jawForward": 1.0, "mouthShrugLower": 0.20},
    # Well under the cap, beyond which the nose wing folds: there must be room to move from 1 to 1.5.
    "mouth_left": {"mouthLeft": 0.75},
    "mouth_right": {"mouthRight": 0.75},
    "dimpler": _both(mouthDimple=1.0, mouthPress=0.30),
    "chin_raiser": {"mouthShrugLower": 0.90, "mouthShrugUpper": 0.30, **_both(mouthFrown=0.15)},
    "lip_puckerer": {"mouthPucker": 1.0},
    # The jaw lowers the lower teeth; mouthClose keeps the lips no wider than a funnel.
    "lip_funneler": {"mouthFunnel": 0.90, "mouthPucker": 0.20, "jawOpen": 0.65, "mouthClose": 0.38},
    # No mouthShrugLower: it lifts the corners (1.7 mm) that mouthFrown lowers (4.6 mm), and its lower lip covers the
    # dark line between the lips. A little jawOpen keeps that line; the rolled lower lip keeps the teeth hidden.
    "sadness": {
        "jawOpen": 0.04,
        "mouthRollLower": 0.20,
        **_both(mouthFrown=1.2, browInnerUp=0.80, browDown=0.25, eyeBlink=0.08, eyeSquint=0.12),
    },
    "lip_roll": {"mouthRollLower": 0.90, "mouthRollUpper": 0.70, **_both(mouthPress=0.20)},
    "grin": {
        "jawOpen": 0.06,
        **_both(
            mouthStretch=0.75, mouthUpperUp=0.75, mouthLowerDown=0.80, mouthSmile=0.50, cheekSquint=0.25, eyeWide=0.20
        ),
    },
    # Cheeks full of air need lips that hold it.
    "cheek_blowing": {"mouthClose": 0.06, **_both(cheekPuff=1.0)},
    # A little over the cap, so that the lids already meet at intensity 1.
    "eye_closed": _both(eyeBlink=1.15),
    # 7 mm at intensity 1, at most 10: brows that rise further (13 mm) no longer look like brows, nor are detected as
    # such.
    "brow_raiser": _both(browInnerUp=0.75, browOuterUp=0.75, eyeWide=0.50),
    "brow_lower": _both(browDown=1.0, eyeSquint=0.12),
}

#: Blendshape weights of neutral faces: the pack's people were told to look at the camera, and their eyes are a third
#: wider than in photographs.
RESTING: dict[str, float] = _both(eyeBlink=0.18, eyeSquint=0.12)

# Largest weight of each shape at any intensity, approached by facekit.train.shape.data.soft_cap. Others: DEFAULT_CAP.
WEIGHT_CAPS: dict[str, float] = {
    **_both(
        eyeBlink=1.02,
        eyeSquint=1.0,
        eyeWide=1.2,
        cheekSquint=1.0,
        cheekRaiser=1.0,
        mouthSmile=1.2,
        mouthDimple=1.15,
        mouthPress=0.7,
        mouthFrown=1.7,
        mouthStretch=1.15,
        mouthUpperUp=1.15,
        mouthLowerDown=1.2,
        browDown=1.35,
        browInnerUp=1.1,
        browOuterUp=1.1,
        noseSneer=1.2,
        cheekPuff=1.35,
    ),
    "mouthRollLower": 1.0,
    "mouthRollUpper": 0.75,
    "mouthShrugLower": 1.0,
    "mouthShrugUpper": 0.8,
    "mouthPucker": 1.2,
    "mouthFunnel": 1.2,
    "jawOpen": 1.1,
    "jawLeft": 1.3,
    "jawRight": 1.3,
    "jawForward": 1.3,
    "mouthLeft": 1.05,
    "mouthRight": 1.05,
    "mouthClose": 1.0,
}
DEFAULT_CAP = 1.5
