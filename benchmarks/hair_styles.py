"""Hair styles found in photographs against those that people see there, as Markdown::

    python benchmarks/hair_styles.py FOLDER

The folder has the neutral frontal photographs of the Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0,
doi 10.6084/m9.figshare.5047666), 001_03.jpg and so on. One of us named for each which of the wardrobe's styles are like
the hair in it; two whose hair was hard to name are left out. Constants were set on every other photograph, from the
first, so that the rest counts. Controls: the style whose silhouette agrees best, and the most frequent style for all.
Needs the extra ``photo``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch

import facekit
from facekit import FacePipeline, Reconstruction
from facekit.progress import progress
from facekit.reconstruct.hair import find_hair
from facekit.reconstruct.silhouettes import Silhouettes

_TIED, _SHORT = "bun01 ponytail01", "short01 short02 short03 short04"
#: Styles that are like the hair in the photographs, by their numbers.
SEEN = {
    _TIED: "1 2 6 7 9 10 11 14 16 20 25 27 32 34 38 39 62 66 83 86 87 90 91 94 97 99 100 102 107 112 118 122 124 126 "
    "127 134 135 136 139 144",
    _SHORT: "5 8 12 17 18 22 24 29 31 36 41 45 63 67 68 101 103 104 108 117 119 121 128 130 131 132 138 140 141 "
    "142 143 173",
    f"{_SHORT} afro01": "43 44 115",
    f"{_SHORT} {_TIED}": "4",
    f"{_SHORT} ponytail01": "33",
    "afro01": "96",
    "afro01 short02": "69 92 123",
    "cropped01": "42 61 105",
    "cropped01 receding01": "172",
    "cropped01 short01 short04 afro01": "82",
    f"cropped01 {_SHORT}": "70",
    "cropped01 short04 afro01": "114 137",
    "receding01": "125",
    "cropped01 receding01 bald": "37",
    "bald": "21",
    "bob03": "3 81",
    "bob03 bun01 short02": "30",
    "bob03 short02 wavy01": "113",
    "wavy01 bob03 mid01 bun01": "13",
    "mid01 long01 side01": "120",
    "mid01 long01 side01 wavy01": "64",
    "wavy01 mid01 long01": "129",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the photographs")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    like = {int(number): styles.split() for styles, numbers in SEEN.items() for number in numbers.split()}
    common = Counter(style for styles in like.values() for style in styles).most_common(1)[0][0]
    pipe = FacePipeline.from_pretrained(device="cpu")
    right: dict[str, list[list[bool]]] = {name: [[], []] for name in ("found", "silhouette", "most frequent")}
    for row, file in enumerate(progress(sorted(folder.glob("*_03.jpg")), desc="hair")):
        number = int(file.name[:3])
        if number not in like:
            continue
        person = facekit.reconstruct(file, model=pipe, texture_size=512)
        best = _closest(person)
        if best is None:
            continue
        worn = person.pipe.person.hair if person.pipe.person else None
        for name, style in (("found", worn), ("silhouette", best), ("most frequent", common)):
            right[name][row % 2].append(style in like[number])
    print("| style | where constants were set | elsewhere |\n| --- | ---: | ---: |")
    for name, halves in right.items():
        print(f"| {name} |" + "".join(f" {sum(half)} of {len(half)} |" for half in halves))


def _closest(person: Reconstruction) -> str | None:
    """Return the style whose silhouette agrees best with the photograph; None if the crown is outside of it."""
    colours = torch.from_numpy(person.pictures[0].pixels).permute(2, 0, 1)
    neutral = person.neutral.verts
    drawn = Silhouettes.of(colours, person.pipe, neutral, person.face.verts, person.cameras[0])
    found = find_hair(person.pipe, person.latents, drawn)
    return None if found is None else max(found.agreement, key=lambda style: found.agreement[style])


if __name__ == "__main__":
    main()
