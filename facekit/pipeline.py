"""FacePipeline: from latents to a face, one line per arrow.

latents ─► shape ─► mesh ─┐
    └────► texture ───────┼─► detail (static + dynamic displacement) ─► FaceOutput ─► render / view / export / measure
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import torch

from facekit import weights
from facekit.assembly import load_composer, load_detail, load_network, pick_device
from facekit.conventions import EXPRESSIONS, MORPH_TARGETS, PARTS
from facekit.convert import ensure
from facekit.errors import InputError
from facekit.face import FaceDetail, FaceOutput, FaceRig
from facekit.files.readers import load_arrays
from facekit.latents import FaceLatents
from facekit.models.composers.default import AtlasComposer
from facekit.models.composers.published import MODES, PublishedComposer
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.models.detail_layer import MODES as DETAIL_MODES
from facekit.models.detail_layer import DetailLayer
from facekit.models.lids import LidContact
from facekit.models.shape import ShapeModel
from facekit.models.sides import SIDED, mirrored
from facekit.models.texture import TextureModel
from facekit.template import Template

# Textures and detail are made a few at a time: more does not run faster on a CPU and costs memory.
_TEXTURE_CHUNK, _DETAIL_CHUNK = 4, 16


class FacePipeline:
    """Makes faces from codes.

    Parameters
    ----------
    template, shape, texture, composer:
        The parts of one model, all on one device; :meth:`from_pretrained` loads them.
    name:
        The model's name in the manifest.
    identities:
        (N, 20) float32, the codes of the people that the model was trained on, where they are published.
    mode:
        How the published model's texture is composed, ``compose`` of :meth:`from_pretrained`.
    detail:
        File of a detail module of your own; None for the one that comes with the package.
    """

    def __init__(
        self,
        template: Template,
        shape: ShapeModel,
        texture: TextureModel,
        composer: AtlasComposer | PublishedComposer,
        name: str,
        identities: torch.Tensor | None = None,
        mode: str = "blend",
        detail: Path | None = None,
    ) -> None:
        self.template, self.shape, self.texture, self.composer = template, shape, texture, composer
        self.name, self.identities, self.mode, self.detail = name, identities, mode, detail
        #: Whether textures are generated in half precision: faster on CUDA, and off by less than a step of 8 bits.
        self.half = template.verts.is_cuda

    @classmethod
    def from_pretrained(
        cls,
        name: str = "default",
        device: str | torch.device | None = None,
        compose: str = "blend",
        detail: str | Path | None = None,
    ) -> FacePipeline:
        """Load a model by its name in the manifest.

        ``"default"`` comes with the package. ``"3dfacecam"`` are the published research weights (Rai et al., WACV
        2023; trained on FaceScape, for non-commercial research): they are fetched once, or imported from files with
        ``facekit weights import``.

        Parameters
        ----------
        device:
            ``"cpu"``, ``"cuda"``, … or None for CUDA where there is one, else the CPU.
        compose:
            How the texture tile comes into the atlas: ``"blend"`` without a border. ``"upstream"``, for comparisons,
            pastes it as the published code does, with its seam and stains; for ``"3dfacecam"`` only.
        detail:
            An npz that ``python -m facekit.train.detail.facescape`` trained, in place of the embedded detail module.

        Raises
        ------
        InputError
            For an unknown name (the message lists the known ones), a device that is not there, or a way to compose
            that the model does not have.
        WeightsError
            For a missing, truncated or altered file.
        """
        record, device = weights.record(name), pick_device(device)
        modes = MODES[:1] if record.embedded else MODES
        if compose not in modes:
            raise InputError(f"compose out of {', '.join(modes)} for {name!r}", repr(compose), "choose one of these")
        ensure(name)
        detail = None if detail is None else Path(detail)
        if detail is not None and not detail.is_file():
            raise InputError("the file of a detail module", f"none at {detail}", "check its name, or leave it out")
        template = Template.load(weights.verified(name, "template"))
        shape = load_network(name, "shape", ShapeModel, ShapeConfig)
        texture = load_network(name, "texture", TextureModel, TextureConfig)
        composer = load_composer(name, template)
        identities = None
        if "identities" in record.files:
            identities = load_arrays(weights.verified(name, "identities"))["identities"]
        # Channels-last is the layout in which CPU convolutions run fastest here (benchmarks/generate.py).
        texture = texture.to(device, memory_format=torch.channels_last)
        return cls(
            template.to(device), shape.to(device), texture, composer.to(device), name, identities, compose, detail
        )

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
        detail: bool | str = True,
        detail_strength: float = 1.0,
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
        detail:
            Displacement finer than the mesh: True for all of it, "static" for pores and lines that the person has at
            rest, "dynamic" for the furrows that the expression makes, False for none.
        detail_strength:
            Factor on that displacement, 0 or more.
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
        codes = self.own_codes(latents)

        verts = self.decode_shape(codes)
        atlas = torch.cat([self.compose(self.decode_texture(some), some) for some in codes.split(_TEXTURE_CHUNK)])
        mesh = self.template.mesh(verts, atlas)
        displacement, parts = self.displace(codes, verts, detail, detail_strength)
        mesh = dataclasses.replace(mesh, displacement=displacement)
        make_rig = functools.partial(self.rig, detail=detail, detail_strength=detail_strength)
        return FaceOutput(mesh, latents, self.name, metadata, make_rig, parts)

    def training_identity(self, number: int, seed: int = 0) -> FaceLatents:
        """One of the people that the published model was trained on, neutral (B = 1).

        Parameters
        ----------
        number:
            1 to 847, upstream's own count.
        seed:
            Draws the noise, what the identity does not decide; the same for everyone unless you change it.

        Raises
        ------
        InputError
            For another number, or a model whose training identities are not published.
        """
        if self.identities is None:
            raise InputError("a model with training identities", f"{self.name!r}, without", "use 3dfacecam, or a seed")
        count = len(self.identities)
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= count:
            raise InputError(f"a training identity from 1 to {count}", repr(number), "upstream counts from 1")
        code = self.identities[number - 1 : number].to(self.device)
        drawn = FaceLatents.sample(seed, device=self.device)
        return dataclasses.replace(drawn, identity=code.clone(), style=code.clone())

    # -- the arrows -------------------------------------------------------------------------------------------------

    def own_codes(self, latents: FaceLatents) -> FaceLatents:
        """The same faces with expressions in the order of the model's own code: see :attr:`swapped`."""
        if not self.swapped:
            return latents
        names = {a: b for pair in self.swapped for a, b in (pair, pair[::-1])}
        order = [EXPRESSIONS.index(names.get(name, name)) for name in EXPRESSIONS]
        return dataclasses.replace(latents, expression=latents.expression[:, order])

    @functools.cached_property
    def swapped(self) -> tuple[tuple[str, str], ...]:
        """Pairs of expressions that carry each other's names in this model's code.

        ``*_left`` is the subject's left in facekit. FaceScape's names do not say whose left they mean, so it is
        measured once, on the mean face. Faces are made, and morph targets named, with this corrected;
        :meth:`decode_shape` and :meth:`decode_texture` take the model's code as it is.
        """
        mean = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0)
        names = ("neutral", *(name for pair in SIDED for name in pair))
        posed = FaceLatents.cat([mean, *(mean.with_expression(name) for name in names[1:])]).to(self.device)
        with torch.inference_mode():
            verts = dict(zip(names, self.decode_shape(posed), strict=True))
            moved = {name: value - verts["neutral"] for name, value in verts.items()}
            return tuple(pair for pair in SIDED if mirrored(moved[pair[0]], moved[pair[1]], self.template))

    def decode_shape(self, latents: FaceLatents) -> torch.Tensor:
        """Vertices (B, V, 3) float32 mm; where the model has eyeballs, lids are kept from sinking into them."""
        latents = latents.to(self.device)
        displacement = self.shape(latents.shape_noise, latents.identity, latents.style, latents.expression)
        verts = self.template.verts + displacement
        return verts if self.lids is None else self.lids(verts)

    @functools.cached_property
    def lids(self) -> LidContact | None:
        """What keeps lids off the eyeballs; None for a model without eyeballs, as the published one."""
        if not bool((self.template.parts == PARTS.index("eyes")).any()):
            return None
        with torch.inference_mode(False):
            return LidContact(self.template.to("cpu")).to(self.device)

    def decode_texture(self, latents: FaceLatents) -> torch.Tensor:
        """The generator's raw face tile (B, 3, S, S), sRGB, before clamping and composition."""
        latents = latents.to(self.device)
        codes = [(some.texture_noise, some.identity, some.expression) for some in latents.split(_TEXTURE_CHUNK)]
        with torch.autocast(self.device.type, torch.float16, enabled=self.half):
            return torch.cat([self.texture(*code).float() for code in codes])

    def compose(self, tile: torch.Tensor, latents: FaceLatents) -> torch.Tensor:
        """The whole atlas (B, 3, H, W), sRGB in [0, 1], from the tile: what surrounds the face, eyes, detail."""
        tile = tile.clamp(0, 1)
        if isinstance(self.composer, PublishedComposer):
            return self.composer(tile, self.mode)
        return self.composer(tile, latents.identity, latents.texture_noise)

    def displace(
        self, latents: FaceLatents, verts: torch.Tensor, detail: bool | str = True, strength: float = 1.0
    ) -> tuple[torch.Tensor | None, FaceDetail | None]:
        """Displacement (B, 1, H, W) mm of faces with these vertices, and its parts; None and None for ``detail=False``.

        The expression has a part in it through the vertices alone, which are compared with those of the zero code.
        """
        if type(detail) not in (bool, str) or detail not in DETAIL_MODES:
            raise InputError('detail True, "static", "dynamic" or False', repr(detail), "choose one of them")
        if not isinstance(strength, (int, float)) or not 0 <= strength < float("inf"):
            raise InputError("detail_strength as a finite number of 0 or more", repr(strength), "1 is as learned")
        if detail is False:
            return None, None
        rest = self.decode_shape(latents.with_expression("neutral", 0.0))
        maps, parts = [], []
        for k in range(0, len(latents), _DETAIL_CHUNK):
            some = slice(k, k + _DETAIL_CHUNK)
            codes = (latents.identity[some], latents.texture_noise[some])
            displacement, part = self.detail_layer(*codes, rest[some], verts[some], detail, float(strength))
            maps.append(displacement)
            parts.append(part)
        return torch.cat(maps), FaceDetail.cat(parts)

    @functools.cached_property
    def detail_layer(self) -> DetailLayer:
        """The detail module on this model's topology, loaded when it is first asked for."""
        size = self.composer.base.shape[-1]
        with torch.inference_mode(False):  # what is made here serves callers that want gradients, too
            return load_detail(self.template, size, self.detail)

    @torch.inference_mode()
    def rig(self, latents: FaceLatents, detail: bool | str = True, detail_strength: float = 1.0) -> FaceRig:
        """Neutral mesh and the 19 morph targets of one face (B = 1); weight 1 is the posed expression.

        Of the detail the neutral mesh has what it has at rest.
        """
        latents = latents.to(self.device)
        neutral = latents.with_expression("neutral", 0.0)
        posed = self.own_codes(FaceLatents.cat([latents.with_expression(name) for name in MORPH_TARGETS]))
        verts = self.decode_shape(neutral)
        mesh = self.template.mesh(verts, self.compose(self.decode_texture(neutral), neutral))
        displacement, _ = self.displace(neutral, verts, detail, detail_strength)
        mesh = dataclasses.replace(mesh, displacement=displacement)
        deltas = self.decode_shape(posed) - mesh.verts
        return FaceRig(neutral=mesh, names=MORPH_TARGETS, deltas=deltas, weights=latents.expression[0, 1:].clone())
