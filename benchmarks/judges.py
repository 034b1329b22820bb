"""Two judges that had no part in facekit look at the default's people: dlib's recogniser and face-api's networks.

Run: python benchmarks/judges.py [--dlib PYTHON] [--faceapi FOLDER] [--pictures FOLDER] [--people 40]; prints Markdown.
Whoever is not named is not asked. To have them, each in a place of its own:

    python -m venv dlib && dlib/bin/pip install dlib-bin face_recognition_models numpy pillow
    npm install --prefix faceapi @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm pngjs

then ``--dlib dlib/bin/python --faceapi faceapi``. Portraits are 512² in the studio's light, all from one camera, of
people on whom nothing was set. ``--photographs FOLDER`` adds real people from one camera in one light, such as the
neutral faces of the Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0, doi 10.6084/m9.figshare.5047666),
and ``--info`` that set's table of people: how old they are for face-api.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from portraits import ACTORS, AGES, CONTROLS, LEVELS, SEXES, STRANGERS, WORN, paint, paint_controls

from facekit import FaceLatents, FacePipeline
from facekit.files.images import load_image, save_image
from facekit.metrics.texture import lab

#: Two vectors of dlib's network that are nearer than this are one person's, says its author.
ALIKE = 0.6
#: Pairs of strangers under it that were asked for at most.
MOST = {"hair": "10 %", "bare": "20 %"}
#: What face-api should read in an expression at 1.
READ = {"neutral": "neutral", "smile": "happy", "mouth_stretch": "surprised", "anger": "angry"}
#: Bounds of ages at which photographs are told apart.
BANDS = (18, 25, 30, 40, 60)
_DRAWS = 2000
#: Longer side, in pixels, to which photographs are shrunk.
_SIDE = 800
_HERE = Path(__file__).parent


def main() -> None:
    """Print the tables of those who were asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dlib", help="an interpreter that has dlib and its weights")
    parser.add_argument("--faceapi", type=Path, help="the folder whose node_modules has face-api")
    parser.add_argument("--pictures", type=Path, help="keep the pictures here; those that are here are not made again")
    parser.add_argument("--people", type=int, default=40, help="strangers (default 40)")
    parser.add_argument("--judged", type=int, default=12, help="people of each other question (default 12)")
    parser.add_argument("--photographs", type=Path, help="folder with one JPEG of each of many people, as a control")
    parser.add_argument("--info", type=Path, help="CSV with their face_id and face_age")
    args = parser.parse_args()
    if not (args.dlib or args.faceapi):
        parser.error("name a judge: --dlib PYTHON, --faceapi FOLDER")
    torch.set_num_threads(1)
    pipe = FacePipeline.from_pretrained(device="cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.pictures or Path(temporary)
        paint(pipe, folder, args.people, args.judged)
        paint_controls(pipe, folder, args.people)
        photographed = shrunk(args.photographs, folder / "strangers-photographed") if args.photographs else []
        if args.dlib:
            features = asked([args.dlib, str(_HERE / "judge_dlib.py")], folder, ("strangers-*/*", "acting/*"))
            print("\n".join(recogniser(pipe, features, args.people, args.judged, photographed)), flush=True)
        if args.faceapi:
            posed = (f"acting/* {name} 1.0" for name in READ)
            worn = (f"{who}-{worn}/*" for who in ("strangers", *SEXES) for worn in WORN)
            names = (*worn, "ages/*", *posed, "strangers-photographed/*")
            modules = str((args.faceapi / "node_modules").resolve())
            read = asked(["node", str(_HERE / "judge_faceapi.cjs")], folder, names, NODE_PATH=modules)
            print("\n".join(reader(read, args.people, args.judged)), flush=True)
            if args.info and photographed:
                print("\n".join(ages_photographed(read, args.info)), flush=True)


def asked(command: list[str], folder: Path, patterns: tuple[str, ...], **variables: str) -> dict[str, list]:
    """Return the faces that a judge finds, by the picture's name; ends the program if it fails."""
    names = sorted({path.relative_to(folder).as_posix() for some in patterns for path in folder.glob(f"{some}.png")})
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    done = subprocess.run(
        [*command, str(folder)], input="\n".join(names), capture_output=True, text=True, env=environment
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return {name.removesuffix(".png"): faces for name, faces in json.loads(done.stdout.splitlines()[-1]).items()}


def shrunk(source: Path, folder: Path) -> list[str]:
    """Write photographs of real people as PNGs of the portraits' size, and return their names."""
    folder.mkdir(exist_ok=True)
    files = sorted(source.glob("*.jpg"))
    for file in files:
        picture = load_image(file)[..., :3]
        share = max(1, round(max(picture.shape) / _SIDE))
        size = picture.shape[1] // share, picture.shape[0] // share
        save_image(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), folder / f"{file.stem}.png")
    return [file.stem for file in files]


# -- who looks like whom ----------------------------------------------------------------------------------------------


def recogniser(
    pipe: FacePipeline, features: dict[str, list[list[float]]], people: int, judged: int, photographed: list[str]
) -> list[str]:
    """Tables of dlib's network: strangers whom it takes for one person, what they share, and who stays the same."""
    lines = [
        "**dlib's recogniser**",
        "",
        "| portraits | found | pairs of strangers under 0.6 | 95 % over people | median distance | asked, at most |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    tables = {}
    shown = {look: [str(seed) for seed in range(STRANGERS, STRANGERS + people)] for look in (*WORN, *CONTROLS)}
    for look, wanted in (shown | ({"photographed": photographed} if photographed else {})).items():
        names, vectors = _seen(features, [f"strangers-{look}/{name}" for name in wanted])
        apart = distances(vectors)
        pairs = apart[np.triu_indices(len(apart), 1)]
        low, high = interval(apart)
        if look in WORN:
            tables[look] = [int(name.split("/")[1]) for name in names], apart
        lines.append(
            f"| {CONTROLS.get(look, look)} | {len(names)} of {len(wanted)} | {(pairs < ALIKE).mean():.1%} "
            f"| {low:.1%} to {high:.1%} | {np.median(pairs):.2f} | {MOST.get(look, '')} |"
        )
    names = [name for name in features if name.startswith("acting/")]
    kept, vectors = _seen(features, names)
    who, _, level = np.array([name.split("/")[1].split() for name in kept]).T
    apart = distances(vectors)
    lines += [
        "",
        f"{judged} people in every expression: found in {len(kept)} of {len(names)} portraits.",
        "",
        "| intensities | area under the curve, same against other | one person's pairs over 0.6 | two people's under |",
        "| --- | ---: | ---: | ---: |",
    ]
    for some in (LEVELS, *((each,) for each in LEVELS)):
        kin = np.flatnonzero(np.isin(level.astype(float), some))
        one, other = (kin[k] for k in np.triu_indices(len(kin), 1))
        pairs, same = apart[one, other], who[one] == who[other]
        lines.append(
            f"| {', '.join(map(str, some))} | {area(pairs[same], pairs[~same]):.5f} "
            f"| {(pairs[same] > ALIKE).mean():.2%} | {(pairs[~same] < ALIKE).mean():.1%} |"
        )
    return [*lines, "", "Asked were 0.9995.", "", *shared(pipe, tables)]


def shared(pipe: FacePipeline, tables: dict[str, tuple[list[int], np.ndarray]]) -> list[str]:
    """What alike strangers share: of pairs, the third that differs least in a trait beside the third that does most.

    The last column is the rank correlation of the difference with the recogniser's distance.
    """
    lines = [
        "| pairs that differ in | portraits | least: under 0.6 | most: under 0.6 | rank correlation with distance |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for worn, (seeds, apart) in tables.items():
        one, other = np.triu_indices(len(seeds), 1)
        alike = apart[one, other]
        for trait, values in described(pipe, seeds, WORN[worn]).items():
            gap = np.linalg.norm(values[one] - values[other], axis=1)
            # A tie of many, as of one style, goes with the lowest.
            low, high = gap <= np.quantile(gap, 1 / 3), gap > np.quantile(gap, 2 / 3)
            if not high.any():
                low, high = gap == gap.min(), gap > gap.min()
            lines.append(
                f"| {trait} | {worn} | {(alike[low] < ALIKE).mean():.0%} of {low.sum()} "
                f"| {(alike[high] < ALIKE).mean():.0%} of {high.sum()} | {correlation(gap, alike):.2f} |"
            )
    seeds, apart = tables["hair"]
    one, other = np.triu_indices(len(seeds), 1)
    near = np.argsort(apart[one, other])[:5]
    worst = ", ".join(f"{seeds[one[k]]} and {seeds[other[k]]} ({apart[one[k], other[k]]:.2f})" for k in near)
    often = np.argsort(-(apart < ALIKE).sum(0))[:5]
    known = ", ".join(f"{seeds[k]} ({(apart[k] < ALIKE).sum() - 1})" for k in often)
    return [*lines, "", f"Nearest with hair: {worst}. Taken for most others: {known}.", ""]


@torch.inference_mode()
def described(pipe: FacePipeline, seeds: list[int], hair: str | None) -> dict[str, np.ndarray]:
    """Return each person's skin and hair colour (L*, a*, b*), style, shape (mm), sex and age: (N, ·) each."""
    people = pipe.to_model_codes(FaceLatents.cat([FaceLatents.sample(seed) for seed in seeds]))
    faces = [pipe(latents=codes, hair=hair, detail=False) for codes in people.split(1)]
    inner = pipe.template.landmarks
    verts = torch.cat([face.mesh.verts[:, inner] for face in faces]).flatten(1)
    tones = [lab(pipe.decode_texture(codes))[0].flatten(1).median(dim=1).values for codes in people.split(1)]
    traits = people.traits()
    found = {
        "skin colour": torch.stack(tones),
        "68 landmarks": verts,
        "masculinity": traits["masculinity"][:, None],
        "age": traits["age"][:, None],
    }
    if hair is not None:
        styles = [face.hair[0].cards.name.split("+")[0] if face.hair[0] else "" for face in faces]
        colours = pipe.composer.micro.hair_colour(people.identity)
        found["hair colour"] = lab(colours[:, :, None, None])[:, :, 0, 0]
        found["hair style"] = torch.tensor([[float(style == name) for name in pipe.hair_styles] for style in styles])
    return {name: values.double().numpy() for name, values in found.items()}


# -- what a face says -------------------------------------------------------------------------------------------------


def reader(read: dict[str, list[dict]], people: int, judged: int) -> list[str]:
    """Tables of face-api's networks: who is found, expressions, ages, women and men."""
    read = {name: faces for name, faces in read.items() if not name.startswith("strangers-photographed/")}
    missed = [name for name, faces in read.items() if not faces]
    told = f", all but {', '.join(missed)}" if missed else ""
    lines = ["**face-api**", "", f"Finds a face in {len(read) - len(missed)} of {len(read)} portraits{told}.", ""]
    lines += ["| expression at 1 | asked | read so | what else |", "| --- | --- | ---: | --- |"]
    for name, wanted in READ.items():
        told = [_strongest(read[f"acting/{seed} {name} 1.0"]) for seed in range(ACTORS, ACTORS + judged)]
        rest = ", ".join(f"{other} {told.count(other)}" for other in sorted(set(told) - {wanted}))
        lines.append(f"| {name} | {wanted} | {told.count(wanted)} of {judged} | {rest} |")
    lines += ["", "| age sampled | read, mean | least | most |", "| --- | ---: | ---: | ---: |"]
    for age in AGES:
        told = [faces[0]["age"] for name, faces in read.items() if name.startswith("ages/") and name.endswith(f" {age}")
                and faces]  # fmt: skip
        lines.append(f"| {age} | {np.mean(told):.0f} | {min(told):.0f} | {max(told):.0f} |")
    drawn = [faces[0]["age"] for name, faces in read.items() if name.startswith("strangers-hair/") and faces]
    lines.append(f"| any ({people} people) | {np.mean(drawn):.0f} | {min(drawn):.0f} | {max(drawn):.0f} |")
    lines += ["", "| portraits | women called women | men called men | as sampled | asked |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for worn in WORN:
        right = {
            sex: [bool(faces) and faces[0]["gender"] == sex for name, faces in read.items()
                  if name.startswith(f"{sex}-{worn}/")]
            for sex in SEXES
        }  # fmt: skip
        women, men = (f"{sum(told)} of {len(told)}" for told in right.values())
        lines.append(f"| {worn} | {women} | {men} | {np.mean(sum(right.values(), [])):.0%} | 80 % |")
    return [*lines, ""]


def ages_photographed(read: dict[str, list[dict]], info: Path) -> list[str]:
    """Table of the ages that face-api reads in photographs, by the ages of these people."""
    with info.open(newline="") as file:
        known = {row["face_id"]: row["face_age"] for row in csv.DictReader(file)}
    told = []
    for name, faces in read.items():
        folder, _, file = name.partition("/")
        if folder == "strangers-photographed" and faces and known[file[:3]].isdecimal():
            told.append((float(known[file[:3]]), faces[0]["age"]))
    lines = ["", "| photographed, years | people | mean age | read, mean |", "| --- | ---: | ---: | ---: |"]
    for low, high in zip(BANDS, BANDS[1:], strict=False):
        some = np.array([pair for pair in told if low <= pair[0] < high])
        if len(some):
            lines.append(f"| {low} to {high - 1} | {len(some)} | {some[:, 0].mean():.0f} | {some[:, 1].mean():.0f} |")
    return [*lines, ""]


def _strongest(faces: list[dict]) -> str:
    """Return the expression that the first face shows most, or "no face"."""
    return max(faces[0]["expressions"], key=faces[0]["expressions"].__getitem__) if faces else "no face"


# -- figures ----------------------------------------------------------------------------------------------------------


def _seen(features: dict[str, list[list[float]]], names: list[str]) -> tuple[list[str], np.ndarray]:
    """Return the pictures with a face, and its vectors (N, 128)."""
    kept = [name for name in names if features[name]]
    return kept, np.array([features[name][0] for name in kept])


def distances(vectors: np.ndarray) -> np.ndarray:
    """Return Euclidean distances (N, N) of vectors (N, D)."""
    squares = (vectors**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))


def interval(apart: np.ndarray) -> tuple[float, float]:
    """Return the bootstrap's 95 % interval of the share of pairs under 0.6, drawing people, with seed 0."""
    random, shares = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        some = random.integers(len(apart), size=len(apart))
        one, other = np.triu_indices(len(some), 1)
        one, other = some[one], some[other]
        # A few people can be drawn so that all are one.
        if (one != other).any():
            shares.append((apart[one, other] < ALIKE)[one != other].mean())
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


def area(same: np.ndarray, other: np.ndarray) -> float:
    """Return how often a distance of the same person is below one of two people, ties counted half."""
    ordered = np.sort(other)
    below, upto = (np.searchsorted(ordered, same, side) for side in ("left", "right"))
    return float(1 - (below + upto).mean() / (2 * len(other)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation of (N,) and (N,); ties share their mean rank."""
    ranks = []
    for values in (a, b):
        _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[index])
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
