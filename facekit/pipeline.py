"""FacePipeline: from latents to a face, one line per step.

latents ─► shape ─► mesh ─┐
    └────► texture ───────┼─► detail (static + dynamic displacement) ─► FaceOutput ─► render / view / export / measure
"""

from __future__ import annotations

import copy
import dataclasses
import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit import forks, weights
from facekit.assembly import load_composer, load_network, pick_device
from facekit.checks import whole
from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.convert import ensure
from facekit.decoder import FaceDecoder
from facekit.detail import check_detail
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.readers import load_arrays
from facekit.hair import HairRig
from facekit.latents import FaceLatents
from facekit.models.composers import Composer, DefaultComposer, composer_class
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.person import Person
from facekit.source import FaceRig, FaceSettings, Keyframes, alone, rig_names, rig_weights
from facekit.template import Template
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from facekit.motion import Motion

_RIG_CHUNK = 8


class FacePipeline(FaceDecoder):
    """Make faces from latents; a :class:`facekit.source.FaceSource`.

    The forward pass itself, with gradients, is :meth:`facekit.decoder.FaceDecoder.decode`.

    Parameters
    ----------
    template, shape, texture, composer:
        The parts of one model, all on one device; :meth:`from_pretrained` loads them.
    name:
        The model's name in the manifest.
    identities:
        (N, 20) float32: identity codes of the training people, if published.
    detail:
        File of a detail module that you trained; None for the packaged one.
    pretrained:
        Other arguments of :meth:`from_pretrained`, so that a pickled face can load its model.
    """

    expressions = EXPRESSIONS
    shapes = BLENDSHAPES

    def __init__(
        self,
        template: Template,
        shape: ShapeModel,
        texture: TextureModel,
        composer: Composer,
        name: str,
        identities: torch.Tensor | None = None,
        detail: Path | None = None,
        pretrained: Mapping[str, str] | None = None,
    ) -> None:
        forks.guard()
        super().__init__(template, shape, texture, composer, detail)
        self.name, self.identities, self.pretrained = name, identities, dict(pretrained or {})

    @classmethod
    @with_torch_defaults
    def from_pretrained(
        cls,
        name: str | Path = "default",
        device: str | torch.device | None = None,
        compose: str = "blend",
        detail: str | Path | None = None,
    ) -> FacePipeline:
        """Load a model by its name in the manifest, or from a folder written by :meth:`save_pretrained`.

        ``"default"`` ships with the package. ``"3dfacecam"`` are the published research weights (Rai et al., WACV 2023;
        trained on FaceScape, for non-commercial research): fetched once, or imported from files with ``facekit weights
        import``.

        Parameters
        ----------
        device:
            ``"cpu"``, ``"cuda"``, … or None for CUDA if available, else the CPU.
        compose:
            How the texture tile is composed into the atlas: ``"blend"`` hides its border. ``"upstream"``, for
            comparisons, pastes it as the published code does, with seam and stains; for ``"3dfacecam"`` only.
        detail:
            An npz trained by ``python -m facekit.train.detail.facescape``, in place of the embedded detail module.

        Raises
        ------
        InputError
            If the name is unknown (the message lists the known ones), the device is not available, or the model does
            not support the composition mode.
        WeightsError
            If a file is missing, truncated or modified.
        """
        record, device = weights.record(str(name)), pick_device(device)
        name = record.name
        composer_class(record.config["composer"], compose)  # checked before anything is fetched
        ensure(name)
        own = None if detail is None else Path(detail)
        if own is not None and not own.is_file():
            raise InputError("the file of a detail module", f"none at {own}", "check its name, or leave it out")
        template = Template.load(weights.verified(name, "template"))
        shape = load_network(name, "shape", ShapeModel, ShapeConfig)
        texture = load_network(name, "texture", TextureModel, TextureConfig)
        composer = load_composer(name, template, compose)
        identities = None
        if "identities" in record.files:
            identities = load_arrays(weights.verified(name, "identities"))["identities"]
        # CPU convolutions are fastest in channels-last layout (benchmarks/generate.py).
        texture = texture.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        pretrained = {"compose": compose} if compose != "blend" else {}
        pretrained |= {} if own is None else {"detail": str(own.absolute())}
        parts = (template.to(device), shape.to(device), texture, composer.to(device))
        return cls(*parts, name, identities, own, pretrained)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder, for :meth:`from_pretrained`; return the folder."""
        from facekit.hub import save_folder

        return save_folder(self, folder)

    def push_to_hub(self, repository: str, **options: Any) -> str:
        """Upload the model to the Hugging Face Hub (extra ``hub``); see :func:`facekit.hub.push`."""
        from facekit.hub import push

        return push(self, repository, **options)

    def __repr__(self) -> str:
        """Summarise model, size and device in one line."""
        return f"FacePipeline({self.name!r}, {len(self.template.verts):,} vertices, {str(self.device)!r})"

    def _repr_html_(self) -> str:
        record = weights.record(self.name)
        told = {
            "model": record.summary,
            "licence": record.licence,
            "size": f"{len(self.template.verts):,} vertices, {len(self.expressions)} expressions, on {self.device}",
            "a face": 'pipe(seed=15, expression="smile", intensity=0.8)',
        }
        rows = (f"<tr><th style='text-align:left'>{k}</th><td>{html.escape(v)}</td></tr>" for k, v in told.items())
        return f"<strong>FacePipeline</strong> <code>{html.escape(self.name)}</code><table>{''.join(rows)}</table>"

    @with_torch_defaults
    @torch.no_grad()
    def __call__(
        self,
        seed: int | None = None,
        expression: str | Mapping[str, float] | None = None,
        intensity: float = 1.0,
        truncation: float = 1.0,
        latents: FaceLatents | None = None,
        detail: bool | str = True,
        detail_strength: float = 1.0,
        blendshapes: Mapping[str, float] | torch.Tensor | None = None,
        hair: str | None = "auto",
        traits: Mapping[str, float] | None = None,
    ) -> FaceOutput:
        """Make faces from a seed or from latents, without gradients: see :meth:`decode` for these.

        Parameters
        ----------
        seed:
            Seed of the person, the same on every machine.
        expression, intensity:
            Name or blend ``{"smile": 0.6, …}``, and intensity, 0 to 1.5. With ``latents``, None keeps theirs.
        truncation:
            Diversity of people: 1 is full, 0 the mean face; used with ``seed`` only.
        latents:
            Latents of B faces, instead of a seed.
        detail:
            Displacement finer than the mesh: True for all, "static" for pores and lines of the neutral face, "dynamic"
            for furrows of the expression, False for none.
        detail_strength:
            Factor on that displacement, 0 or more.
        blendshapes:
            Weights of ARKit's blendshapes by name, ``{"jawOpen": 0.4, "eyeBlinkLeft": 1.0}``, in [0, 1], added to the
            expression. With ``latents``, None keeps theirs.
        hair:
            A hair style from ``pipe.hair_styles``, "bald" for no hair on the scalp, None for no hair, brows or lashes
            at all; "auto" for the style of the identity, or none for a model without hair. A beard from
            ``pipe.beard_styles`` may follow after a plus sign, "short01+goatee" or "auto+shaven"; by default it is the
            identity's.
        traits:
            Traits to change, ``{"age": 60, "masculinity": 0.2}``: see :meth:`FaceLatents.with_traits`. For the embedded
            default only.
        """
        forks.check(self.device)
        if (seed is None) == (latents is None):
            raise InputError(
                "either a seed or latents", "both" if latents is not None else "neither", "pass seed=7, for instance"
            )
        metadata, codes = {}, latents
        if codes is None:
            seed = whole(seed, "seed", 0)
            metadata, codes = {"seed": seed}, FaceLatents.sample(seed, truncation=truncation)
        if traits and (self.person is not None or not isinstance(self.composer, DefaultComposer)):
            what = "one person" if self.person is not None else repr(self.name)
            raise InputError("a model with traits", f"{what}, and traits", 'use "default", or leave them out')
        if traits:
            metadata, codes = {**metadata, "traits": dict(traits)}, codes.with_traits(**traits)
        if expression is not None:
            codes = codes.with_expression(expression, intensity)
        if blendshapes is not None:
            codes = codes.with_blendshapes(blendshapes)
        codes = codes.to(self.device)
        model = self.to_model_codes(codes)
        rest = self.decode_neutral(model) if detail or hair else None
        mesh, parts = self._assemble(model, True, detail, detail_strength, rest)
        settings = FaceSettings(detail, float(detail_strength), self.pretrained, hair)
        worn = self.dress(model, mesh.verts, hair, rest)
        return FaceOutput(mesh, codes, self.name, metadata, settings, parts, self, worn)

    @with_torch_defaults
    @torch.no_grad()
    def keyframes(self, latents: FaceLatents, *, detail: bool | str = True) -> Keyframes:
        """Make shapes of one person without textures, with the strain of the skin in each.

        Parameters
        ----------
        latents:
            K latents of one person, on any device; strain is relative to the first one's zero expression.
        detail:
            True or "dynamic" adds the weights of dynamic detail.
        """
        check_detail(detail, 1.0)
        codes = self.to_model_codes(latents.to(self.device))
        verts = self.decode_shape(codes)
        rest = self.decode_neutral(codes[:1])
        tension = self.detail_layer.strain(rest, verts)
        if detail in (False, "static"):
            return Keyframes(verts, tension)
        return Keyframes(verts, tension, *self.detail_layer.weights(tension))

    @with_torch_defaults
    @torch.no_grad()
    def rig(
        self,
        latents: FaceLatents,
        *,
        kind: str = "expressions",
        detail: bool | str = True,
        detail_strength: float = 1.0,
        hair: str | None = None,
    ) -> FaceRig:
        """Make the neutral mesh and the morph targets of one face (B = 1), each evaluated alone at weight 1.

        Morph targets are linear: non-linear motion of eyes, lids and mouth is approximated by its end points.
        mouthClose, which only affects an open jaw, is evaluated with the jaw fully open. The neutral mesh has static
        detail only.

        Parameters
        ----------
        kind:
            "expressions" for the 19 expressions, "arkit" for the 52 blendshapes, "both" for 71 targets.
        hair:
            As in the call; hair has its own displacements.
        """
        names = rig_names(kind)
        latents = latents.to(self.device)
        mesh = self.decode(latents.at_rest(), detail=detail, detail_strength=detail_strength)
        posed = FaceLatents.cat([alone(latents, name) for name in names])
        # A few at a time: contact between lips compares all pairs of their vertices.
        parts = [self.decode_shape(self.to_model_codes(some)) for some in posed.split(_RIG_CHUNK)]
        deltas = torch.cat(parts) - mesh.verts
        if "mouthClose" in names:
            deltas[names.index("mouthClose")] -= deltas[names.index("jawOpen")]
        codes = self.to_model_codes(latents)
        worn = self.dress(codes, mesh.verts, hair, mesh.verts)
        carried = None
        if worn and worn[0] is not None and self.wardrobe is not None:
            cards = worn[0].cards
            posed = (mesh.verts + deltas).split(_RIG_CHUNK)
            grooming = self.grooming(codes)
            moved = torch.cat([self.wardrobe.wear(cards, mesh.verts, some, grooming) for some in posed])
            carried = HairRig(worn[0], moved - worn[0].verts)
        return FaceRig(mesh, names, deltas, rig_weights(latents, names)[0], carried)

    def animate(
        self,
        latents: FaceLatents,
        motion: Motion,
        chunk: int = 8,
        detail: bool | str = True,
        detail_strength: float = 1.0,
        hair: str | None = "auto",
    ) -> Iterator[FaceOutput]:
        """Make the frames of one person's motion in chunks, so that long motions need no more memory than short ones.

        Parameters
        ----------
        latents:
            Latents of one person (B = 1); their expression is kept, their blendshapes are replaced by the motion's.
        motion:
            A :class:`facekit.Motion`, including its head pose.
        chunk:
            Number of faces in each result; the last one may have fewer.
        detail, detail_strength, hair:
            As in the call.
        """
        from facekit.motion.play import animate

        return animate(self, latents, motion, chunk, detail, detail_strength, hair)

    @property
    def hair_styles(self) -> tuple[str, ...]:
        """Names of hair styles, "bald" first; empty for models without hair."""
        return () if self.wardrobe is None else self.wardrobe.styles

    @property
    def beard_styles(self) -> tuple[str, ...]:
        """Names of beards, "shaven" first; empty for models without hair."""
        return () if self.wardrobe is None else self.wardrobe.beards

    @property
    def single_person(self) -> bool:
        """True for a pipeline with a person, see :meth:`with_person`."""
        return self.person is not None

    @property
    def shape_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of blendshapes with a corrective, as indices into :data:`facekit.conventions.BLENDSHAPES`."""
        return tuple((int(a), int(b)) for a, b in self.blendshapes.pairs.tolist())

    def training_identity(self, number: int, seed: int = 0) -> FaceLatents:
        """Return one of the published model's training identities, neutral (B = 1).

        Parameters
        ----------
        number:
            1 to 847, upstream's numbering.
        seed:
            Seed of the noise, which is independent of identity.

        Raises
        ------
        InputError
            If the number is out of range, or the model's training identities are not published.
        """
        if self.identities is None:
            raise InputError("a model with training identities", f"{self.name!r}, without", "use 3dfacecam, or a seed")
        count = len(self.identities)
        number = whole(number, "a training identity", 1, count, "upstream counts from 1")
        code = self.identities[number - 1 : number].to(self.device)
        drawn = FaceLatents.sample(seed, device=self.device)
        return dataclasses.replace(drawn, identity=code.clone(), style=code.clone())

    def with_person(self, person: Person) -> FacePipeline:
        """Return the same model that makes only this person, whatever the identity code; shares everything else.

        It works wherever a pipeline does: sweeps, viewers, :func:`facekit.generate.local.generate_set`. Unpickled faces
        have no source: set one with :meth:`facekit.FaceOutput.reattach`.

        Parameters
        ----------
        person:
            Person in the model's topology.

        Raises
        ------
        InputError
            If the number of vertices differs.
        """
        if len(person.neutral) != len(self.template.verts):
            got = f"{len(person.neutral)}, where {self.name!r} has {len(self.template.verts)}"
            raise InputError("a person with the model's vertices", got, "use the model that it was made with")
        _ = self.contact  # depends on the topology: created once, not per person
        other = copy.copy(self)
        other.person = person.to(self.device)
        return other

    def with_composition(self, mode: str) -> FacePipeline:
        """Return the same model with another composition mode, see :meth:`from_pretrained`; shares everything else.

        Raises
        ------
        InputError
            If the model does not support the mode.
        """
        other = copy.copy(self)
        other.composer = self.composer.with_mode(mode)
        other.pretrained = {**self.pretrained, "compose": mode}
        return other
