"""The model card: what the embedded default is, what it was made from, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facekit.io.files import atomic_write
from facekit.train.evaluate import evaluate

_TEMPLATE = """# Model card: the embedded default

Written by `python -m facekit.train --stages card`; every figure below was measured by `facekit/train/evaluate.py`.

## What it is

A generator of textured, animatable 3D heads: {vertices:,} vertices, {triangles:,} triangles, one 1024² atlas. From an
identity code (20 numbers), noise and an expression code (20 weights, intensity 0 to 1.5) it computes vertices in
millimetres and skin. The networks are 3DFaceCAM's (Rai et al., WACV 2023) with smaller widths: a shape model of
{shape_parameters:,} and a conditional ProGAN of {texture_parameters:,} parameters for the 512² face tile. Around the
tile an explicit, identity-seeded layer adds pores, stubble and hair strands; eyes, teeth and mouth are painted.

## Intended use

Making faces of nobody: figures, teaching, synthetic data, prototypes, art, and as the built-in stand-in for research
weights. Not for identifying, ranking or judging people, nor for imitating a real person.

## Sources and licences

- ICT Face Model Light (USC ICT, MIT): mean head, 100 identity modes, 57 expression shapes.
- MakeHuman system skins and eyebrows (CC0 1.0): 14 skins, 12 brow shapes.
- Everything else (recipes of the 20 expressions, skin tones, folds, flush, freckles, moles, hair strokes, iris, teeth)
  was modelled by us. The texture network learned from samples of that model ("the teacher"), not from photographs.

## Measured

On people and codes that no training run drew.

| what | figure |
| --- | --- |
| autoencoder on held-out faces and expressions, mean vertex error | {reconstruction_mm:.2f} mm |
| the same on the face alone (faces differ from the mean by {variation_mm:.1f} mm) | {reconstruction_face_mm:.2f} mm |
| generated neutral face against the shape its codes stand for | {identity_mm:.2f} mm |
| "neutral" at intensity 1.5 against the zero code, largest vertex | {neutral_drift_mm:.3f} mm |
| lids at eye_closed, intensity 1 (open: {lid_gap_open_mm:.1f} mm) | {lid_gap_mm:.2f} mm |
| texture against the teacher, mean ΔE (CIE76) | {texture_delta_e:.2f} |
| the same between two people | {texture_delta_e_between_people:.1f} |
| what the expression changes in the skin, share of its energy that the network explains | {expression_explained:.0%} |
| largest mean step between neighbours of a 16-step smile sweep | {sweep_step_delta_e:.2f} ΔE |
| energy at ¼ to ½ cycle a pixel against the training skins, network alone (teacher: {teacher:.2f}) | {network:.2f} |
| the same, composed texture | {composed:.2f} |

Size is the mean movement of face vertices at intensity 1, error the distance from the teacher's pose; monotone is the
share of people whose face never steps back as intensity rises from 0 to 1.5; flips are triangles (of {triangles:,})
turned by over 90 degrees, a person.

| expression | size mm | error mm | monotone | flips at 1 | flips at 1.5 |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}

## Limits and bias

- 14 skins and one linear head model cannot stand for humankind. Skin tone is spread evenly over the whole range by
  construction, not by any population; features follow the ICT scans, whose subjects are not documented in detail.
- Texture traits are independent of the shape: nothing ties sex or age of the skin to those of the head.
- No hair beyond brows, lashes, stubble and a close crop; no glasses, no scars, no make-up.
- Expressions are mixes of blendshapes; how people differ in making them is modelled, not observed. Teeth and tongue are
  simple. Strong mixes can fold lips and lids.
- The teacher flushes, blanches and folds the skin with the expression by rule, and the texture network has learned most
  of it (the table above); its tile is smooth: the finest octave comes from the explicit layer, whose hair strands share
  one layout.
"""


def write_card(pack: Path, work: Path, out: Path) -> None:
    """Measure the embedded default and write ``MODEL_CARD.md`` beside its weights."""
    from facekit.pipeline import FacePipeline
    from facekit.train.export import parameters

    pipe = FacePipeline.from_pretrained("default", device="cpu")
    results: dict[str, Any] = evaluate(pack, work)
    rows = "\n".join(
        f"| {name} | {r['size_mm']:.2f} | {r['error_mm']:.2f} | {r['monotone']:.0%} "
        f"| {r['flipped_at_1']:.0f} | {r['flipped_at_1.5']:.0f} |"
        for name, r in results["expressions"].items()
    )
    text = _TEMPLATE.format(
        vertices=len(pipe.template.verts),
        triangles=len(pipe.template.faces),
        shape_parameters=parameters(pipe.shape),
        texture_parameters=parameters(pipe.texture),
        rows=rows,
        **results["high_frequency"],
        **{key: value for key, value in results.items() if isinstance(value, float)},
    )
    with atomic_write(out / "MODEL_CARD.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
