"""``python -m facekit.train --pack PATH``: the embedded default, from the training pack to the committed files.

Stages, each resumable: template → shape networks → texture network → detail module → model card.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from facekit.errors import FacekitError


def main() -> int:
    """Run the stages that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m facekit.train", description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, default=None, help="folder of the training pack")
    parser.add_argument("--work", type=Path, default=Path(".train"), help="checkpoints and caches (default .train)")
    parser.add_argument("--out", type=Path, default=None, help="where the assets go (default: the package's own)")
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=list(STAGES), help="only these, in this order (default all)"
    )
    arguments = parser.parse_args()
    try:
        run(arguments.pack, arguments.work, arguments.out, arguments.stages)
    except FacekitError as error:
        print(f"facekit.train: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("facekit.train: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


STAGES = ("template", "shape", "texture", "detail", "card")


def run(pack: Path | None, work: Path, out: Path | None, stages: list[str]) -> None:
    """See the module's docstring; ``pack`` is checked before anything starts."""
    import torch

    from facekit.models.config import DetailConfig, ShapeConfig, TextureConfig
    from facekit.template import Template
    from facekit.train import export
    from facekit.train.pack import require
    from facekit.weights import assets_folder

    pack = require(
        Path(pack or ""), "ict_light.npz", "ict_vertex_indices.json", "skins_uv", "brows_uv", "skin_mask_uv.png"
    )
    out = assets_folder() if out is None else out
    manifest = Path(__file__).resolve().parents[2] / "weights_manifest.json"
    work.mkdir(parents=True, exist_ok=True)
    basis_path = work / "shape_basis.npz"

    if "template" in stages:
        from facekit.train.head.stage import write_assets
        from facekit.train.skin.stage import build_micro_asset

        write_assets(pack, out, basis_path)
        build_micro_asset(pack, out / "micro.npz")
    template = Template.load(out / "template.npz")
    shape_config = ShapeConfig(vertices=len(template.verts), decoder_widths=(256, 72), generator_widths=(256, 256, 256))
    texture_config = TextureConfig(channels=(128, 128, 96, 64, 32, 24, 16, 12), constant_neutral=True)

    if "shape" in stages:
        from facekit.train.shape import stage as shape
        from facekit.train.shape.data import ShapeBasis

        torch.manual_seed(0)
        basis = ShapeBasis.load(basis_path, template.parts)
        model = shape.coordinate_model(shape_config, basis)
        encoder = shape.train_autoencoder(model, basis, work)
        model = shape.train_generators(model, encoder, basis, work)
        first = model.generator_expression.fc0[0].weight
        export.silence_neutral(first, shape_config.noise + shape_config.identity, axis=1)
        export.write_weights(shape.fold_basis(model, shape_config, basis), out / "shape.safetensors")

    if "texture" in stages:
        from facekit.train.texture.data import TextureSamples
        from facekit.train.texture.stage import start_texture, train_texture

        torch.manual_seed(0)
        samples = TextureSamples(pack, texture_config.sizes[-1])
        model = train_texture(start_texture(texture_config), samples, work)
        export.write_weights(model, out / "texture.safetensors")

    export.write_manifest(manifest, out, shape_config, texture_config)  # the next stage loads what is there
    if "detail" in stages:
        from facekit.train.detail.stage import train_stage

        train_stage(pack, work, out, DetailConfig())
        export.write_manifest(manifest, out, shape_config, texture_config)
    if "card" in stages:
        from facekit.train.card import write_card

        write_card(pack, work, out)
    elif "detail" in stages:
        from facekit.train.card import write_detail_section

        write_detail_section(pack, work, out)


if __name__ == "__main__":
    sys.exit(main())
