"""FACS action units, and their relation to ARKit's blendshapes.

Numbers and names: Ekman, Friesen and Hager, *Facial Action Coding System* (2002). In the training pack's own table AU10
and AU11 are swapped against the anatomy; here AU10, the upper lip raiser, is mouthUpperUp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Intensities in FACS: trace, slight, marked, severe, maximum.
INTENSITIES = ("A", "B", "C", "D", "E")


def _both(name: str, weight: float = 1.0) -> dict[str, float]:
    return {f"{name}_L": weight, f"{name}_R": weight}


@dataclass(frozen=True)
class ActionUnit:
    """Action unit at its largest intensity.

    Parameters
    ----------
    name:
        Name in FACS.
    pack:
        The corresponding combination of the head model's muscles.
    """

    name: str
    pack: Mapping[str, float]


#: Action units by number, as far as the head model has the muscles.
ACTION_UNITS: dict[int, ActionUnit] = {
    1: ActionUnit("inner brow raiser", _both("browInnerUp")),
    2: ActionUnit("outer brow raiser", _both("browOuterUp")),
    4: ActionUnit("brow lowerer", _both("browDown")),
    5: ActionUnit("upper lid raiser", _both("eyeWide")),
    6: ActionUnit("cheek raiser", _both("cheekSquint")),
    7: ActionUnit("lid tightener", _both("eyeSquint")),
    9: ActionUnit("nose wrinkler", _both("noseSneer")),
    10: ActionUnit("upper lip raiser", _both("mouthUpperUp")),
    12: ActionUnit("lip corner puller", _both("mouthSmile")),
    13: ActionUnit("sharp lip puller", {**_both("mouthSmile", 0.4), **_both("mouthDimple", 0.3)}),
    14: ActionUnit("dimpler", _both("mouthDimple")),
    15: ActionUnit("lip corner depressor", _both("mouthFrown")),
    16: ActionUnit("lower lip depressor", _both("mouthLowerDown")),
    17: ActionUnit("chin raiser", {"mouthShrugLower": 1.0}),
    18: ActionUnit("lip pucker", {"mouthPucker": 1.0}),
    20: ActionUnit("lip stretcher", _both("mouthStretch")),
    22: ActionUnit("lip funneler", {"mouthFunnel": 1.0}),
    23: ActionUnit("lip tightener", {**_both("mouthPress", 0.6), "mouthRollLower": 0.3, "mouthRollUpper": 0.3}),
    24: ActionUnit("lip presser", _both("mouthPress")),
    25: ActionUnit("lips part", _both("mouthLowerDown", 0.35)),
    26: ActionUnit("jaw drop", {"jawOpen": 0.5}),
    27: ActionUnit("mouth stretch", {"jawOpen": 1.0}),
    28: ActionUnit("lip suck", {"mouthRollLower": 1.0, "mouthRollUpper": 1.0}),
    29: ActionUnit("jaw thrust", {"jawForward": 1.0}),
    30: ActionUnit("jaw sideways, to the left", {"jawLeft": 1.0}),
    34: ActionUnit("puff", _both("cheekPuff")),
    41: ActionUnit("lid droop", _both("eyeBlink", 0.35)),
    43: ActionUnit("eyes closed", _both("eyeBlink")),
    44: ActionUnit("squint", {**_both("eyeSquint", 1.0), **_both("eyeBlink", 0.3)}),
    45: ActionUnit("blink", _both("eyeBlink")),
}
