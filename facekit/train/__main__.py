"""``python -m facekit.train --pack PATH``: train the embedded default, from the training pack to the committed
files.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from facekit.errors import FacekitError, optional_import

#: Stages in order: each module has a ``run`` that takes the :class:`facekit.train.context.Context`.
STAGES = {
    "template": "facekit.train.head.stage",
    "micro": "facekit.train.skin.stage",
    "shape": "facekit.train.shape.stage",
    "adapt": "facekit.train.shape.adapt",
    "rig": "facekit.train.rig.stage",
    "words": "facekit.train.rig.words",
    "texture": "facekit.train.texture.stage",
    "detail": "facekit.train.detail.stage",
    "relief": "facekit.train.detail.relief",
    "controls": "facekit.train.texture.blind",
    "photos": "facekit.train.photos.stage",
    "landmarks": "facekit.train.landmarks.stage",
    "encoder": "facekit.train.encoder.stage",
    "mask": "facekit.train.mask.stage",
    "hair": "facekit.train.hair.stage",
    "card": "facekit.train.card",
}
#: Stages that only run if named: adapt an existing model to changed recipes; train controls for experiments; need the
#: extra ``photo``, or depend on such a stage.
NAMED = ("adapt", "words", "relief", "controls", "photos", "landmarks", "encoder")
_PACK_FILES = ("ict_light.npz", "ict_vertex_indices.json", "skins_uv", "brows_uv", "skin_mask_uv.png")
_MANIFEST = "weights_manifest.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the requested stages; return the exit code."""
    a = parse(arguments)
    try:
        if a.data is not None:
            run_on_data(a)
        else:
            run(a.pack, a.work, a.out, a.manifest, a.steps_scale, a.width_scale, a.stages)
    except FacekitError as error:
        print(f"facekit.train: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("facekit.train: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m facekit.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data",
        nargs=2,
        metavar=("NAME", "PATH"),
        help="train networks at the published sizes on scans of yours: facescape and its folder; under torchrun on "
        "several devices",
    )
    parser.add_argument("--precision", choices=("full", "mixed"), help="with --data (default: mixed on CUDA)")
    parser.add_argument("--pack", type=Path, default=Path(), help="folder of the training pack")
    parser.add_argument("--work", type=Path, default=Path(".train"), help="checkpoints and caches (default .train)")
    parser.add_argument("--out", type=Path, help="where the assets go (default: the package's own)")
    parser.add_argument(
        "--manifest", type=Path, help=f"file for their record (default: the repository's, with --out: OUT/{_MANIFEST})"
    )
    parser.add_argument(
        "--steps-scale", type=float, default=1.0, help="share of all steps and samples; 0.01 is a trial (default 1)"
    )
    parser.add_argument("--width-scale", type=float, default=1.0, help="share of all networks' widths (default 1)")
    parser.add_argument(
        "--stages",
        nargs="+",
        choices=STAGES,
        help=f"only these (default all but {', '.join(NAMED)}; with --data shape and texture)",
    )
    return parser.parse_args(arguments)


def run_on_data(a: argparse.Namespace) -> None:
    """Train on the user's scans, as given on the command line.

    Raises
    ------
    InputError
        If the data set or a stage is unknown.
    """
    from facekit.checks import one_of
    from facekit.train.scans import stage

    name, folder = a.data
    one_of(name, ("facescape",), "a data set to train on")
    stages = stage.STAGES if a.stages is None else a.stages
    for chosen in stages:
        one_of(chosen, stage.STAGES, "a stage with --data")
    out = Path("out/facescape") if a.out is None else a.out
    stage.run(Path(folder), a.work / name, out, a.steps_scale, a.width_scale, stages, a.precision)


def run(
    pack: Path,
    work: Path,
    out: Path | None = None,
    manifest: Path | None = None,
    steps_scale: float = 1.0,
    width_scale: float = 1.0,
    stages: list[str] | None = None,
) -> None:
    """Run stages one after the other; each resumes from its last checkpoint and records its assets at the end.

    Parameters
    ----------
    pack, work, out, manifest, steps_scale, width_scale:
        See :class:`facekit.train.context.Context`; by default the assets are the package's own.
    stages:
        Names from :data:`STAGES`; by default all except :data:`NAMED`.
    """
    from facekit.train.context import Context
    from facekit.train.export import write_manifest
    from facekit.train.pack import require
    from facekit.weights import assets_folder

    pack = require(pack, *_PACK_FILES)
    optional_import("scipy", "train", "training")
    if manifest is None:
        manifest = Path(__file__).resolve().parents[2] / _MANIFEST if out is None else out / _MANIFEST
    context = Context(pack, work, assets_folder() if out is None else out, manifest, steps_scale, width_scale)
    for folder in (context.work, context.out):
        folder.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in STAGES if name not in NAMED] if stages is None else stages
    for name in STAGES:
        if name in chosen:
            importlib.import_module(STAGES[name]).run(context)
            write_manifest(manifest, context.out, context.shape_config, context.texture_config)
    if "card" not in chosen and (context.out / "MODEL_CARD.md").is_file():
        from facekit.train.card import SECTIONS, write_section

        for name in SECTIONS:
            if name in chosen:
                write_section(context, name)


if __name__ == "__main__":
    sys.exit(main())
