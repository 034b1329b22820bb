"""FacePipeline: from latents to a face, one line per arrow.

latents ─► shape ─► mesh ─┐
    └────► texture ───────┴─► FaceOutput ─► render / view / export / measure
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from facekit import weights
from facekit.conventions import MORPH_TARGETS
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.mesh import FaceOutput, FaceRig
from facekit.models.atlas import AtlasComposer
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.models.micro import MicroLayer
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.template import Template

# Textures are generated a few at a time: more does not run faster on a CPU and costs memory.
_TEXTURE_CHUNK = 4


class FacePipeline:
    """Makes faces from codes.

    Parameters
    ----------
    template, shape, texture, composer:
        The parts of one model, all on one device; :meth:`from_pretrained` loads them.
    name:
        The model's name in the manifest.
    """

    def __init__(
        self, template: Template, shape: ShapeModel, texture: TextureModel, composer: AtlasComposer, name: str
    ) -> None:
        self.template, self.shape, self.texture, self.composer = template, shape, texture, composer
        self.name = name

    @classmethod
    def from_pretrained(cls, name: str = "default", device: str | torch.device | None = None) -> FacePipeline:
        """Load a model by its name in the manifest; ``"default"`` comes with the package.

        Parameters
        ----------
        device:
            ``"cpu"``, ``"cuda"``, … or None for CUDA where there is one, else the CPU.

        Raises
        ------
        InputError
            For an unknown name (the message lists the known ones) or a device that is not there.
        WeightsError
            For a missing, truncated or altered file.
        """
        record, device = weights.record(name), pick_device(device)
        template = Template.load(weights.verified(name, "template"))
        shape = ShapeModel(ShapeConfig(**_tuples(record.config["shape"])))
        texture = TextureModel(TextureConfig(**_tuples(record.config["texture"])))
        for role, module in (("shape", shape), ("texture", texture)):
            path = weights.verified(name, role)
            weights.load_into(module, weights.load_tensors(path), path.name)
        pictures = {role: weights.load_picture(weights.verified(name, role)) for role in ("base", "parts", "iris")}
        micro = MicroLayer(weights.load_arrays(weights.verified(name, "micro")))
        composer = AtlasComposer(**pictures, micro=micro, template=template)
        # Channels-last is the layout in which CPU convolutions run fastest here (benchmarks/generate.py).
        texture = texture.to(device, memory_format=torch.channels_last)
        return cls(template.to(device), shape.to(device), texture, composer.to(device), name)

    @property
    def device(self) -> torch.device:
        return self.template.verts.device

    @torch.inference_mode()
    def __call__(
        self,
        seed: int | None = None,
        expression: str | Mapping[str, float] | None = None,
        intensity: float = 1.0,
        truncation: float = 1.0,
        latents: FaceLatents | None = None,
    ) -> FaceOutput:
        """Make faces, from a seed or from latents.

        Parameters
        ----------
        seed:
            Who it is: the same seed gives the same person on every machine.
        expression, intensity:
            Name or blend ``{"smile": 0.6, …}``, and how strongly, 0 to 1.5. With ``latents``, None keeps theirs.
        truncation:
            1 is the full variety of people, 0 the mean face; used with ``seed`` only.
        latents:
            Codes of B faces, instead of a seed.
        """
        if (seed is None) == (latents is None):
            raise InputError(
                "either a seed or latents", "both" if latents is not None else "neither", "pass seed=7, for instance"
            )
        metadata = {} if seed is None else {"seed": seed}
        if latents is None:
            latents = FaceLatents.sample(seed, truncation=truncation)
        if expression is not None:
            latents = latents.with_expression(expression, intensity)
        latents = latents.to(self.device)

        verts = self.decode_shape(latents)
        atlas = torch.cat([self.compose(self.decode_texture(some), some) for some in latents.split(_TEXTURE_CHUNK)])
        mesh = self.template.mesh(verts, atlas)
        return FaceOutput(mesh=mesh, latents=latents, model=self.name, metadata=metadata, make_rig=self.rig)

    # -- the arrows -------------------------------------------------------------------------------------------------

    def decode_shape(self, latents: FaceLatents) -> torch.Tensor:
        """Vertices (B, V, 3) float32 mm."""
        displacement = self.shape(latents.shape_noise, latents.identity, latents.style, latents.expression)
        return self.template.verts + displacement

    def decode_texture(self, latents: FaceLatents) -> torch.Tensor:
        """The generator's raw face tile (B, 3, S, S), sRGB, before clamping and composition."""
        codes = [(some.texture_noise, some.identity, some.expression) for some in latents.split(_TEXTURE_CHUNK)]
        return torch.cat([self.texture(*code) for code in codes])

    def compose(self, tile: torch.Tensor, latents: FaceLatents) -> torch.Tensor:
        """The whole atlas (B, 3, H, W), sRGB in [0, 1], from the tile: micro detail, back of head, eyes, mouth."""
        return self.composer(tile.clamp(0, 1), latents.identity, latents.texture_noise)

    @torch.inference_mode()
    def rig(self, latents: FaceLatents) -> FaceRig:
        """Neutral mesh and the 19 morph targets of one face (B = 1); weight 1 is the posed expression."""
        latents = latents.to(self.device)
        neutral = latents.with_expression("neutral", 0.0)
        posed = FaceLatents.cat([latents.with_expression(name) for name in MORPH_TARGETS])
        mesh = self.template.mesh(self.decode_shape(neutral), self.compose(self.decode_texture(neutral), neutral))
        deltas = self.decode_shape(posed) - mesh.verts
        return FaceRig(neutral=mesh, names=MORPH_TARGETS, deltas=deltas, weights=latents.expression[0, 1:].clone())


def pick_device(device: str | torch.device | None) -> torch.device:
    """The device of that name, or CUDA where there is one, else the CPU, for None and ``"auto"``."""
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise InputError("a device like cpu, cuda or cuda:0", repr(device), "name one that torch knows") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("a device that is there", "cuda without a CUDA device", "use device='cpu'")
    return device


def _tuples(config: dict[str, object]) -> dict[str, object]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
