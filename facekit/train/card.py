"""The card stage: write the model card with measured figures."""

from __future__ import annotations

from dataclasses import asdict

from facekit.errors import FacekitError
from facekit.evaluate.shape import ExpressionFigures
from facekit.files.atomic import atomic_write
from facekit.metrics.displacement import DisplacementFigures, WrinkleFigures
from facekit.pipeline import FacePipeline
from facekit.train.context import Context
from facekit.train.export import parameters
from facekit.train.figures import DETAIL_PEOPLE, LEAST, WRINKLED_PEOPLE, measure, measure_detail
from facekit.train.rig.report import rig_section
from facekit.train.trained import load_pipeline

_TEMPLATE = """# Model card: the embedded default

Written by `python -m facekit.train --stages card`; every figure below was measured by `facekit.evaluate`.

## What it is

A generator of textured, animatable 3D heads: {vertices:,} vertices, {triangles:,} triangles, one 1024² atlas. From an
identity code (20 numbers), noise and an expression code (20 weights, intensity 0 to 1.5) it computes vertices in
millimetres and a skin texture. The networks are 3DFaceCAM's (Rai et al., WACV 2023) with smaller widths: a shape model
of {shape_parameters:,} and a conditional ProGAN of {texture_parameters:,} parameters for the 512² face tile. Around the
tile explicit, identity-seeded layers add the structure of skin, blotches, moles, pores, stubble and hair strands; eyes,
teeth and mouth are painted. Age and masculinity affect skin and head shape alike: the code is rotated so that its
directions of masculinity and age are those along which head measures differ by sex and age in anthropometry
(`facekit.train.shape.traits`): `FaceLatents.with_traits(age=60)`.

## Intended use

Fictional faces for illustrations, teaching, synthetic data, prototypes and art, and as the built-in substitute for
research weights. Not for identifying, ranking or judging people, nor for imitating a real person.

## Sources and licences

- ICT Face Model Light (USC ICT, MIT): mean head, 100 identity modes, 57 expression shapes.
- MakeHuman system skins and eyebrows (CC0 1.0): 14 skins, 12 brow shapes.
- MakeHuman system hair (CC0 1.0): seven styles as cards, converted to grey, smoothed and quantised to 16 bits; curls,
  cropped and receding hair, lashes, brows and beards are our own.
- Everything else (recipes of the 20 expressions, skin tones, folds, flush, freckles, moles, hair strokes, iris, teeth)
  was modelled by us. The texture network learned from samples of that model ("the teacher"), not from photographs.

## Measured

On people and codes that were not used in training.

| what | figure |
| --- | --- |
| autoencoder on held-out faces and expressions, mean vertex error | {reconstruction_mm:.2f} mm |
| the same on the face alone (faces differ from the mean by {variation_mm:.1f} mm) | {reconstruction_face_mm:.2f} mm |
| generated neutral face against the shape of its codes | {identity_mm:.2f} mm |
| "neutral" at intensity 1.5 against the zero code, largest vertex | {neutral_drift_mm:.3f} mm |
| lids at eye_closed, intensity 1 (open: {lid_gap_open_mm:.1f} mm) | {lid_gap_mm:.2f} mm |
| texture against the teacher, mean ΔE (CIE76) | {delta_e:.2f} |
| the same between two people | {delta_e_between_people:.1f} |
| change of the skin with the expression, fraction of its energy explained by the network | {expression_explained:.0%} |
| largest mean step between neighbours of a 16-step smile sweep | {sweep_step_delta_e:.2f} ΔE |
| energy at ¼ to ½ cycle per pixel against the training skins, network alone (teacher: {teacher:.2f}) | {network:.2f} |
| energy of the composed texture, median over median, by octave from 1/32 to ½ cycle per texel | {by_octave} |

Size is the mean displacement of face vertices at intensity 1, error the distance from the teacher's pose; monotone is
the fraction of people whose displacement never decreases with intensity from 0 to 1.5; flips are triangles (of
{triangles:,}) turned by over 90 degrees, mean per person.

| expression | size mm | error mm | monotone | flips at 1 | flips at 1.5 |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}

{rig}

{detail}

## Limits and bias

- 14 skins and one linear head model cannot represent all people. Skin tone is uniform over the whole range by
  construction and follows no population; features follow the ICT scans, whose subjects are not documented in detail.
- Age and masculinity of head and skin are linked by a prior from average anthropometry, not from labelled scans: years
  are on the model's own scale, and masculinity is a matter of degree; that most people look like a woman or like a man
  is a rule (`facekit.traits.dimorphic`).
- Heads of the networks are too alike: they get features of the head model by rule (`facekit.models.features`), of a
  larger amount than the model's own, around eyes and mouth in part; lips, brows and the shade in creases differ by
  rule, too. So does what the years do to soft tissue and furrows, after anatomy (`facekit.models.ageing`), not
  learned from scans, as are how lids rest, how far apart the corners of eyes are, the lids' creases and the relief of
  ears (`facekit.train.head.ears`). Proportions of women and men and the hue of necks are corrected to those of 102
  photographs of one set (`facekit.models.proportions`, `facekit.models.composers.neck`), anger and stretched mouths by
  blendshapes (`facekit.models.accents`). The tables above are of the networks without these.
- An independent recogniser takes a seventh of the pairs of strangers without hair for one person, and an independent
  network reads ages of 40 to 75 too low, and one of three women without hair as men: docs/figures.md.
- Fifteen hair styles and three beards, chosen by rule from the code; two styles hide an eye and are worn on request
  only. How full, how high and how long hair and beards are differs by rule, too (`facekit.models.grooming`). Hair is
  pushed out of the skin, but is not simulated. No glasses, no scars, no make-up.
- Expressions are combinations of blendshapes; individual differences are modelled, not observed. Teeth and tongue are
  simple. Strong combinations can push lips into each other, above all on people far from the mean, with thin lips.
- Photographs and videos: a network trained on renders alone (31,560 pictures of 7,890 people, some 6,400 steps, and
  23,680 of 5,920 with this release's faces, 7,784 steps) predicts landmarks, identity and blendshapes where MediaPipe
  detects a face; for its accuracy see docs/from-a-photograph.md and docs/from-a-video.md.
  The identity of several pictures is predicted by the encoder
  (action-unit tokens, graph attention and transformer after AUFART, Kim and Lee, ICT Express 2025; the linear path, the
  layers across frames and the uncertainties are ours), which was trained on simulations and 1,487 renders that the
  network had looked at, not on photographs; looking down is predicted badly.
- The teacher changes colour and folds of the skin with the expression by rule, and the texture network has learned most
  of it (the table above); its tile is smooth: finer structure comes from the explicit layers, which mix fourteen skins
  and four growth patterns of brows.
- Furrows have two layouts at most, mixed per person. Where the nasolabial fold is most compressed at intensity 1 it
  deepens no further up to 1.5, except in the mesh; on half of the people of `facekit evaluate detail` the relief of
  `smile` and `grin` even falls by over a hundredth.
"""


#: Sections that are updated after a run of the stage of that name alone.
SECTIONS = ("rig", "detail")
_DETAIL = """## Detail

A module of {parameters:,} numbers ({megabytes:.1f} MB) displaces the surface along its normal: {static} static maps of
{size}² texels on the face, {compressed} for compressed and {stretched} for stretched skin, mixed by regressors of the
identity code. The form is SD-DeTail's (HiFace, Chai et al., ICCV 2023), whose code and sizes are not public; sizes,
training and the composition by the strain *across* furrows in place of the mean tension of edges are ours. **Modelled,
not scanned**: it was trained on relief derived from the training pack's skins (dark is deep) and on furrows along
anatomical lines, whose depth follows the strain of the mesh, with depths from measurements of skin and widths about
half as wide again. Pores are not learned: a procedural layer adds them at the texture's resolution, seeded by the
person.

Measured on {people} people with random expressions that were not used in training; distance is the mean along the
normal to the teacher's surface.

| composition | energy explained | … of the expression's | distance, smooth → displaced | nearer | faces made worse |
| --- | ---: | ---: | ---: | ---: | ---: |
{ways}

The shipped one is *{shipped}*. Monotone is the fraction of {swept} people whose dynamic relief (root mean square) never
decreases by over a hundredth as intensity increases from 0 to 1.5 in steps of 0.1; depth is that of the deepest furrow.

| expression | monotone | depth at 1 mm | depth at 1.5 mm |
| --- | ---: | ---: | ---: |
{wrinkles}"""


def run(context: Context) -> None:
    """Measure the run's model and write ``MODEL_CARD.md`` beside its weights."""
    pipe = load_pipeline(context)
    autoencoder, shape, texture = measure(context, pipe)
    values = {
        **asdict(autoencoder),
        **asdict(shape),
        **asdict(texture),
        **asdict(texture.fidelity),
        **texture.fine_energy,
        "by_octave": ", ".join(f"{ratio:.2f}" for ratio in texture.octaves),
    }
    text = _TEMPLATE.format(
        vertices=len(pipe.template.verts),
        triangles=len(pipe.template.faces),
        shape_parameters=parameters(pipe.shape),
        texture_parameters=parameters(pipe.texture),
        rows="\n".join(_expression_row(name, figures) for name, figures in shape.expressions.items()),
        **{name: _marked(name, context, pipe) for name in SECTIONS},
        **values,
    )
    with atomic_write(context.out / "MODEL_CARD.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_section(context: Context, name: str) -> None:
    """Replace one of :data:`SECTIONS` in the existing card, after a run that trained nothing else."""
    path = context.out / "MODEL_CARD.md"
    text = path.read_text(encoding="utf-8")
    start, end = _marks(name)
    first, last = text.find(start), text.find(end)
    if first < 0 or last < 0:
        raise FacekitError(f"the markers of the section {name} in {path}", "none", "run the stage card")
    section = _marked(name, context, load_pipeline(context))
    with atomic_write(path) as temporary:
        temporary.write_text(text[:first] + section + text[last + len(end) :], encoding="utf-8")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: written by the stage of that name -->", f"<!-- /{name} -->"


def _marked(name: str, context: Context, pipe: FacePipeline) -> str:
    start, end = _marks(name)
    section = rig_section(context, pipe) if name == "rig" else detail_section(context, pipe)
    return f"{start}\n\n{section}\n\n{end}"


def detail_section(context: Context, pipe: FacePipeline) -> str:
    """Return the card's section on detail, with measured figures; the work folder contains both composition modes."""
    report, model = measure_detail(context, pipe), pipe.detail_layer.model
    c = model.config
    return _DETAIL.format(
        parameters=parameters(model),
        megabytes=(context.out / "detail.npz").stat().st_size / 1e6,
        size=c.size,
        static=c.static,
        compressed=c.compressed,
        stretched=c.stretched,
        shipped=c.composition,
        people=context.scaled(DETAIL_PEOPLE, LEAST),
        swept=context.scaled(WRINKLED_PEOPLE),
        ways="\n".join(_way_row(name, report.whole[name], report.dynamic[name].energy) for name in report.whole),
        wrinkles="\n".join(_wrinkle_row(name, figures) for name, figures in report.wrinkles.items()),
    )


def _expression_row(name: str, figures: ExpressionFigures) -> str:
    return (
        f"| {name} | {figures.size_mm:.2f} | {figures.error_mm:.2f} | {figures.monotone:.0%} "
        f"| {figures.flipped_at_1:.0f} | {figures.flipped_at_end:.0f} |"
    )


def _way_row(name: str, whole: DisplacementFigures, dynamic: float) -> str:
    coarse, fine = 1000 * whole.coarse_mm, 1000 * whole.fine_mm
    return (
        f"| {name} | {whole.energy:.0%} | {dynamic:.0%} | {coarse:.1f} → {fine:.1f} µm "
        f"| {1 - fine / coarse:.0%} | {whole.worse:.0%} |"
    )


def _wrinkle_row(name: str, figures: WrinkleFigures) -> str:
    return f"| {name} | {figures.monotone:.0%} | {figures.depth_mm:.2f} | {figures.depth_at_end_mm:.2f} |"
