"""FaceLatents: the latent codes of faces."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facekit.checks import as_slice, finite, whole
from facekit.codes import blendshape_code, expression_code
from facekit.conventions import BLENDSHAPE_DIM, EXPRESSION_DIM, IDENTITY_DIM, SHAPE_NOISE_DIM, TEXTURE_NOISE_DIM
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.pickling import compact_state
from facekit.torch_defaults import with_torch_defaults
from facekit.traits import read_traits, set_traits

_SIZES = {
    "identity": IDENTITY_DIM,
    "expression": EXPRESSION_DIM,
    "shape_noise": SHAPE_NOISE_DIM,
    "texture_noise": TEXTURE_NOISE_DIM,
    "style": IDENTITY_DIM,
    "blendshapes": BLENDSHAPE_DIM,
}
#: Fields missing in files of earlier versions; filled with zeros.
_LATER = ("blendshapes",)
#: Fields of the expression; the others define the person.
_MOVES = ("expression", "blendshapes")
#: Tolerance of weights outside of [0, 1], for rounding.
_ROUNDING = 1e-3


def _generator(seed: int, field: str) -> torch.Generator:
    """Return a CPU generator for one field: new fields do not shift old ones, and results are the same on every
    machine.
    """
    digest = hashlib.sha256(f"{seed}:{field}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:7], "big"))


@dataclass(frozen=True)
class FaceLatents:
    """Latent codes of B faces, which determine shape, texture and detail together.

    Field names follow 3DFaceCAM (Rai et al., WACV 2023). All are float32 on one device.

    Parameters
    ----------
    identity:
        (B, 20), standard normal: identity (z_id).
    expression:
        (B, 20), one-hot times intensity, or a blend (z_exp). All zeros is the neutral face.
    shape_noise:
        (B, 5), standard normal: shape variation independent of identity, such as the form of the nose.
    texture_noise:
        (B, 128), standard normal: skin variation independent of identity.
    style:
        (B, 20): personal style of expressions (z_style); by default the identity.
    blendshapes:
        (B, 52) in [0, 1]: weights of :data:`facekit.conventions.BLENDSHAPES`, added to the expression; None for zeros.
        The head's pose is not part of the latents: see :class:`facekit.Motion`.

    Raises
    ------
    InputError
        If a shape or dtype is wrong, a number is not finite, or blendshapes are not in [0, 1].
    """

    identity: torch.Tensor
    expression: torch.Tensor
    shape_noise: torch.Tensor
    texture_noise: torch.Tensor
    style: torch.Tensor
    blendshapes: torch.Tensor = None  # type: ignore[assignment]  # a tensor once made: see __post_init__

    def __post_init__(self) -> None:
        if self.blendshapes is None and isinstance(self.identity, torch.Tensor):
            zeros = torch.zeros(*self.identity.shape[:1], BLENDSHAPE_DIM, device=self.identity.device)
            object.__setattr__(self, "blendshapes", zeros)
        batch = None
        for name, size in _SIZES.items():
            value = getattr(self, name)
            if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
                got = f"{value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
                raise InputError(
                    f"{name} as a float32 tensor (B, {size})",
                    got,
                    "convert it with torch.as_tensor(..., dtype=torch.float32)",
                )
            if value.ndim != 2 or value.shape[1] != size:
                raise InputError(f"{name} of shape (B, {size})", f"{tuple(value.shape)}", "give one row per face")
            batch = value.shape[0] if batch is None else batch
            if value.shape[0] != batch:
                raise InputError(f"{name} with {batch} rows like identity", f"{value.shape[0]}", "use one batch size")
            if not bool(torch.isfinite(value).all()):
                raise InputError(f"finite numbers in {name}", "NaN or infinity", "check where the codes come from")
        if bool(((self.blendshapes - 0.5).abs() > 0.5 + _ROUNDING).any()):
            low, high = (float(bound) for bound in self.blendshapes.aminmax())
            raise InputError("blendshapes in [0, 1]", f"{low:g} to {high:g}", "clamp them: codes.clamp(0, 1)")

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    @with_torch_defaults
    def sample(
        cls,
        seed: int,
        count: int = 1,
        expression: str | Mapping[str, float] = "neutral",
        intensity: float = 1.0,
        truncation: float = 1.0,
        device: str | torch.device = "cpu",
        age: float | None = None,
        masculinity: float | None = None,
    ) -> FaceLatents:
        """Sample ``count`` random people; the same seed gives the same people on every machine.

        Face ``i`` of the batch has the seed ``seed + i``, independent of ``count``.

        Parameters
        ----------
        truncation:
            Scales identity and noise toward the mean face (StyleGAN's truncation trick, Karras et al. 2019): 1 is full
            diversity, 0 the mean face.
        age, masculinity:
            Set for all people instead of random: age in years, 18 to 80, and masculinity as a quantile, 0 to 1. See
            :meth:`with_traits`.
        """
        seed = whole(seed, "seed", 0, remedy="pass for instance seed=7")
        count = whole(count, "count", 1)
        psi = finite(truncation, "the truncation")
        if not 0 <= psi <= 1:
            raise InputError("a truncation between 0 and 1", f"{psi:g}", "1 is the full variety, 0 the mean face")
        fields = {
            name: torch.stack(
                [torch.randn(_SIZES[name], generator=_generator(seed + i, name)) * psi for i in range(count)]
            )
            for name in ("identity", "shape_noise", "texture_noise")
        }
        fixed = {name: v for name, v in (("age", age), ("masculinity", masculinity)) if v is not None}
        fields["identity"] = set_traits(fields["identity"], **fixed)
        code = expression_code(expression, intensity).expand(count, -1).clone()
        return cls(expression=code, style=fields["identity"].clone(), **fields).to(device)

    def with_expression(self, expression: str | Mapping[str, float], intensity: float = 1.0) -> FaceLatents:
        """Return the same people with another expression; arguments as in :func:`facekit.codes.expression_code`."""
        code = expression_code(expression, intensity).to(self.device)
        return dataclasses.replace(self, expression=code.expand(len(self), -1).clone())

    def with_traits(self, **traits: float) -> FaceLatents:
        """Return people who differ in some traits only, for instance ``with_traits(age=60, melanin=0.9)``.

        Parameters
        ----------
        traits:
            ``age`` in years, 18 to 80; any other of :data:`facekit.traits.TRAITS` as a quantile of the population, 0 to
            1. For the embedded default only; other models' codes have other meanings.
        """
        identity = set_traits(self.identity, **traits)
        # A style that differs from the identity is kept.
        style = identity.clone() if torch.equal(self.style, self.identity) else self.style
        return dataclasses.replace(self, identity=identity, style=style)

    def traits(self) -> dict[str, torch.Tensor]:
        """Return the traits of these people, (B,) each: see :meth:`with_traits` for the units."""
        return read_traits(self.identity)

    def with_blendshapes(self, weights: Mapping[str, float] | torch.Tensor) -> FaceLatents:
        """Return the same people and expressions with these blendshapes only.

        Parameters
        ----------
        weights:
            Weights by name, see :func:`facekit.codes.blendshape_code`; or (52,) or (B, 52) float32.
        """
        code = weights if isinstance(weights, torch.Tensor) else blendshape_code(weights)
        code = code.to(self.identity)
        return dataclasses.replace(self, blendshapes=code.expand(len(self), -1).clone() if code.ndim == 1 else code)

    def at_rest(self) -> FaceLatents:
        """Return the same people without expression and blendshapes: *the* neutral face."""
        return dataclasses.replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in _MOVES})

    def blend(self, weights: Mapping[str, float]) -> FaceLatents:
        """Return the same people with a blend of expressions, for instance ``{"smile": 0.7, "brow_raiser": 0.5}``."""
        return self.with_expression(weights)

    @with_torch_defaults
    def lerp(self, other: FaceLatents, t: float) -> FaceLatents:
        """Interpolate from these faces (t = 0) to ``other`` (t = 1), field by field.

        Random fields keep a length between those of both ends, so that faces in between are as distinctive as those at
        the ends; expression and blendshapes are interpolated linearly.
        """
        t = finite(t, "t")
        if len(self) != len(other):
            raise InputError(f"latents with {len(self)} faces", f"{len(other)}", "use batches of one size")
        mixed = {}
        for name in _SIZES:
            a, b = getattr(self, name), getattr(other, name).to(self.device)
            value = torch.lerp(a, b, t)
            if name not in _MOVES:
                length = torch.lerp(a.norm(dim=1), b.norm(dim=1), t)
                value = value * (length / value.norm(dim=1).clamp_min(1e-8))[:, None]
            mixed[name] = value
        return FaceLatents(**mixed)

    # -- a batch ----------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return self.identity.device

    def to(self, device: str | torch.device) -> FaceLatents:
        """Return a copy on another device."""
        return FaceLatents(**{name: getattr(self, name).to(device) for name in _SIZES})

    def __repr__(self) -> str:
        """Summarise the sizes in one line."""
        return f"FaceLatents({len(self)}: {', '.join(f'{name} {size}' for name, size in _SIZES.items())})"

    def __len__(self) -> int:
        return self.identity.shape[0]

    def __getitem__(self, index: int | slice) -> FaceLatents:
        index = as_slice(index, len(self), "face")
        return FaceLatents(**{name: getattr(self, name)[index] for name in _SIZES})

    def __iter__(self) -> Iterator[FaceLatents]:
        return (self[i] for i in range(len(self)))

    def split(self, size: int) -> list[FaceLatents]:
        """Split the batch in order into parts of at most ``size`` faces."""
        return [self[start : start + size] for start in range(0, len(self), size)]

    def repeat(self, count: int) -> FaceLatents:
        """Repeat each face ``count`` times, face after face."""
        return FaceLatents(**{name: getattr(self, name).repeat_interleave(count, dim=0) for name in _SIZES})

    @staticmethod
    def cat(parts: list[FaceLatents]) -> FaceLatents:
        """Concatenate several batches."""
        return FaceLatents(**{name: torch.cat([getattr(p, name) for p in parts]) for name in _SIZES})

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)

    # -- files ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[list[float]]]:
        """Return plain lists for JSON. Float32 survives the round trip exactly."""
        return {name: getattr(self, name).detach().cpu().tolist() for name in _SIZES}

    @classmethod
    @with_torch_defaults
    def from_dict(cls, data: Mapping[str, list[list[float]]]) -> FaceLatents:
        """Create latents from :meth:`to_dict`."""
        missing = [name for name in _SIZES if name not in data and name not in _LATER]
        if missing:
            raise InputError(
                f"the fields {', '.join(_SIZES)}", f"none named {', '.join(missing)}", "use a file that save() wrote"
            )
        try:
            known = [name for name in _SIZES if name in data]
            return cls(**{name: torch.tensor(data[name], dtype=torch.float32) for name in known})
        except (TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            remedy = "use a file that save() wrote"
            raise InputError("lists of numbers, one row per face", str(error), remedy) from error

    def save(self, path: str | Path) -> Path:
        """Write the latents as JSON."""
        path = expanded(path)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict()), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> FaceLatents:
        """Read a file written by :meth:`save`."""
        try:
            data = json.loads(expanded(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(
                "a JSON file of latents", f"{path} ({error})", "use a file that FaceLatents.save wrote"
            ) from error
        return cls.from_dict(data if isinstance(data, dict) else {})
