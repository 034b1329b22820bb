"""Viewer: a face with sliders in a notebook.

The browser has all data of a movement: moving a slider or turning the head sends no message. Python answers requests,
when it has time, for a new person, an expression that was not sent yet, and exact downloads. While a slider is dragged
``intensity`` only changes in the page and in widgets linked there; Python is notified on release.

Blends: the page first shows the sum of the expressions' displacements. The generator is not quite additive, so when a
weight is released the page requests keyframes of the exact blend, and shows these as soon as they arrive.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets

from facekit.checks import whole
from facekit.conventions import MAX_INTENSITY
from facekit.errors import FacekitError, InputError, optional_import
from facekit.face import FaceOutput
from facekit.latents import FaceLatents
from facekit.motion import Motion
from facekit.pipeline import FacePipeline
from facekit.source import FaceSource
from facekit.viz.viewer.block import pack
from facekit.viz.viewer.page import (
    BACKGROUNDS,
    LANGUAGES,
    LIGHTS,
    VIEWS,
    download,
    module_text,
    portrait,
    pose_of,
    poster_of,
    settings_of,
    strength_of,
    write_page,
)
from facekit.viz.viewer.rig import motion_block, rig_entries
from facekit.viz.viewer.tracks import Subject, head_entries, mix_key, track_entries

anywidget = optional_import("anywidget", "notebook", "the viewer")


class Viewer(anywidget.AnyWidget):
    """A textured 3D head with sliders, updated while they are dragged.

    ``expression``, ``intensity`` and ``seed`` are traits: observe them, set them, link them to other widgets with
    ``ipywidgets.jslink`` or ``link``. The cell also stores a picture, for places where widgets do not run.

    Parameters
    ----------
    pipe:
        The pipeline, or any other :class:`facekit.source.FaceSource`; by default the embedded model.
    seed:
        Seed of the person, unless ``latents`` are given.
    expression, intensity:
        Name or blend ``{"smile": 0.6, …}``, and intensity, 0 to 1.5.
    latents:
        Latents of one face, instead of a seed; their expression is ignored.
    steps:
        Number of keyframes from intensity 0 to 1.5; the page interpolates linearly.
    truncation:
        Diversity of people from seeds: 1 is full, 0 the mean face.
    detail:
        As for the pipeline: True, "static", "dynamic" or False.
    motion:
        A :class:`facekit.Motion` to play, with a timeline; :meth:`play` sets another.
    hair:
        As for the pipeline: a style, "bald", None, or "auto" for the style of each person's identity.
    settings:
        ``view`` ("texture", "clay", "wireframe", "tension"), ``light`` ("studio", "daylight", "rim", "flat"),
        ``background`` ("studio", "light", "dark", "none"), ``detail_strength`` (0 to 2), ``height`` in pixels, and
        ``lang``, the labels' language: "en", "ko", or "" for the browser's.

    Raises
    ------
    InputError
        If latents are of several faces, there are fewer than two steps, or an expression or setting is unknown.
    """

    expression = traitlets.Union([traitlets.Unicode(), traitlets.Dict()], default_value="smile").tag(sync=True)
    intensity = traitlets.Float(0.8, min=0.0, max=MAX_INTENSITY).tag(sync=True)
    seed = traitlets.Int(7, allow_none=True, min=0).tag(sync=True)
    view = traitlets.Enum(VIEWS, VIEWS[0]).tag(sync=True)
    light = traitlets.Enum(LIGHTS, LIGHTS[0]).tag(sync=True)
    background = traitlets.Enum(BACKGROUNDS, BACKGROUNDS[0]).tag(sync=True)
    detail_strength = traitlets.Float(1.0, min=0.0, max=2.0).tag(sync=True)
    height = traitlets.Int(560, min=240).tag(sync=True)
    lang = traitlets.Enum(LANGUAGES, LANGUAGES[0]).tag(sync=True)
    #: Non-zero weights of ARKit's 52 blendshapes by name, added to the expression.
    blendshapes = traitlets.Dict(value_trait=traitlets.Float(min=0.0, max=1.0)).tag(sync=True)
    #: Head angles in degrees: yaw to the image's right, pitch up, roll.
    head = traitlets.List(traitlets.Float(), default_value=[0.0, 0.0, 0.0], minlen=3, maxlen=3).tag(sync=True)
    #: Motion to play, a block of :func:`facekit.viz.viewer.rig.motion_block`.
    _motion = traitlets.Bytes(b"").tag(sync=True)
    #: Head and first expression, a block of :mod:`facekit.viz.viewer.block`; saved in the notebook.
    _head = traitlets.Bytes(b"").tag(sync=True)
    #: Counter of heads: not every notebook detects changes of bytes.
    _shown = traitlets.Int(-1).tag(sync=True)
    #: True if other people can be made from seeds.
    _people = traitlets.Bool(True).tag(sync=True)

    # ipywidgets 7 would display the widget itself, without the picture that replaces it.
    _ipython_display_ = None

    def __init__(
        self,
        pipe: FaceSource | Subject | None = None,
        seed: int | None = 7,
        expression: str | Mapping[str, float] = "smile",
        intensity: float = 0.8,
        latents: FaceLatents | None = None,
        steps: int = 15,
        truncation: float = 1.0,
        detail: bool | str = True,
        motion: Motion | None = None,
        hair: str | None = "auto",
        **settings: Any,
    ) -> None:
        steps = whole(steps, "steps", 2, remedy="pass for instance steps=15")
        if latents is not None and len(latents) != 1:
            raise InputError("latents of one face", f"{len(latents)} faces", "pick one with latents[i]")
        mix_key(expression)  # raises for unknown names
        if isinstance(pipe, Subject):
            subject = pipe
        else:
            source = FacePipeline.from_pretrained() if pipe is None else pipe
            if latents is None:
                latents = FaceLatents.sample(0 if seed is None else seed, truncation=truncation)
            else:
                seed = None
            subject = Subject(source, latents, detail, hair if isinstance(source, FacePipeline) else None)
        self._subject: Subject = subject
        self._steps, self._truncation, self._person = steps, truncation, 0
        self._still = b""
        self._esm = module_text()
        super().__init__(
            expression=expression if isinstance(expression, str) else dict(expression),
            intensity=intensity,
            seed=seed,
            _people=not subject.source.single_person,
            _motion=b"" if motion is None else motion_block(motion),
            **settings_of(settings),
        )
        self._show_person()
        self.observe(self._new_person, "seed")
        self.on_msg(self._answer)

    @classmethod
    def of(cls, face: FaceOutput, steps: int = 15, **settings: Any) -> Viewer:
        """Create a viewer of an existing face (B = 1) with its expression; see :class:`Viewer` for the rest."""
        expression, intensity = pose_of(face)
        settings = {"detail_strength": strength_of(face), **settings}
        seed = face.metadata.get("seed")
        seed = seed[0] if isinstance(seed, list) else seed
        return cls(Subject.of(face), seed=seed, expression=expression, intensity=intensity, steps=steps, **settings)

    @property
    def face(self) -> FaceOutput:
        """The face with the sliders' settings, made on demand; cached until they change or another viewer is used."""
        worn = tuple(sorted(self.blendshapes.items()))
        state = (self._person, mix_key(self.expression), round(self.intensity, 6), self.detail_strength, worn)

        def make() -> FaceOutput:
            made = self._subject.face(self.expression, self.intensity, self.detail_strength, self.blendshapes)
            return dataclasses.replace(made, metadata={} if self.seed is None else {"seed": self.seed})

        return self._subject.kept("face", state, make)

    @property
    def latents(self) -> FaceLatents:
        """Latents of the face with the sliders' settings (B = 1)."""
        posed = self._subject.latents.with_expression(self.expression, self.intensity)
        return posed.with_blendshapes(self.blendshapes)

    def play(self, motion: Motion | None) -> None:
        """Set the motion that the play button starts; None removes it."""
        self._motion = b"" if motion is None else motion_block(motion)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the face with the sliders' settings: any suffix of :func:`facekit.io.save`, or .html for a page.

        Parameters
        ----------
        options:
            Options of the format; for .html those of :func:`facekit.viz.viewer.page.write_page`.
        """
        if Path(path).suffix.lower() != ".html":
            return self.face.save(path, **options)
        settings = {name: getattr(self, name) for name in ("view", "light", "background", "detail_strength", "height")}
        return write_page(self.face, path, subject=self._subject, **{"steps": self._steps, **settings, **options})

    @traitlets.validate("expression")
    def _known(self, proposal: Any) -> Any:
        try:
            mix_key(proposal["value"])
        except InputError as error:
            raise traitlets.TraitError(str(error)) from error
        return proposal["value"]

    # -- what the page is sent --------------------------------------------------------------------------------------

    def _show_person(self) -> None:
        """Send the head and its expression in one block."""
        poster = poster_of(portrait(self.face))
        self._still = poster.data
        header, arrays = head_entries(self._subject, poster)
        tracks = []
        for expression in (self.expression, *_parts(self.expression)):
            track, more = track_entries(self._subject, expression, self._steps)
            tracks.append(track)
            arrays |= more
        with self.hold_sync():
            self._head = pack({**header, "person": self._person, "seed": self.seed, "tracks": tracks}, arrays)
            self._shown = self._person

    def _new_person(self, change: Any) -> None:
        if change["new"] is None or self._subject.source.single_person:
            return
        self._person += 1
        codes = FaceLatents.sample(change["new"], truncation=self._truncation)
        self._subject = Subject(self._subject.source, codes, self._subject.detail, self._subject.hair)
        self._show_person()

    def _answer(self, _: Any, content: Any, __: Any) -> None:
        """Answer a message from the page: ``{"ask": "hello" | "track" | "rig" | "file", "id": number, ...}``."""
        reply = {"id": content.get("id"), "person": self._person}
        try:
            kind, data = self._reply(content)
            self.send({"answer": kind, **reply}, data)
        except FacekitError as error:
            self.send({"answer": "problem", "message": str(error), **reply})

    def _reply(self, content: Mapping[str, Any]) -> tuple[str, list[bytes] | None]:
        if content.get("ask") == "track":
            if content.get("person") != self._person:
                return "late", None
            track, arrays = track_entries(self._subject, content["expression"], self._steps)
            return "track", [pack({"tracks": [track], "person": self._person}, arrays)]
        if content.get("ask") == "rig":
            if content.get("person") != self._person:
                return "late", None
            rig, arrays = rig_entries(self._subject)
            return "rig", [pack({"rig": rig, "person": self._person}, arrays)]
        if content.get("ask") == "file":
            pose = (content["expression"], content["intensity"], self.detail_strength, content.get("blendshapes"))
            face = self._subject.face(*pose)
            return "file", [download(face, content["format"], content["stem"])]
        return "hello", None

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        still = base64.b64encode(self._still).decode()
        return {**data, "image/jpeg": still}, metadata


def _parts(expression: str | Mapping[str, float]) -> list[str]:
    """Return the names of the expressions in a blend; none for a single expression."""
    return [] if isinstance(expression, str) else [name for name in expression if name != mix_key(expression)]
