"""Face generators with one interface: facekit's models, and the linear models that papers compare with.

All of them work on the n vertices that a :class:`~facekit.data.faceset.FaceSet` measures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from facekit.conventions import EXPRESSION_DIM, IDENTITY_DIM, SHAPE_NOISE_DIM
from facekit.data.faceset import FaceSet
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.pipeline import FacePipeline

Tensor = torch.Tensor
#: Number of components of the linear models; fewer if there are not enough people or scans.
IDENTITIES, EXPRESSIONS_KEPT = 50, 30
#: Code search: number of steps, learning rate, and weight of the prior (mm per unit²).
_STEPS, _RATE, _PRIOR = 150, 0.1, 1e-3
#: Number of vertices that the search uses, evenly spaced over the measured ones.
_SEARCHED = 1500
#: Number of faces per search: the cost is per step more than per face.
_AT_ONCE = 256
_COLUMNS = 4096


class Generator(Protocol):
    """Interface of face generators."""

    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """Return faces (B, n, 3) in mm of people with these seeds; a seed is the same person in every call."""
        ...

    def rebuild(self, faces: Tensor) -> Tensor:
        """Return the model's closest faces (B, n, 3) in mm to given ones (B, n, 3)."""
        ...


class MeanFace:
    """The mean face for everybody, with the mean displacement of each expression."""

    def __init__(self, train: FaceSet) -> None:
        points = train.points()
        self.expressions, self.mean = train.expressions, points[:, 0].mean(0)
        self.moved = points.mean(0) - self.mean

    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """See :class:`Generator`."""
        moved = self.moved[_place(self.expressions, expression)]
        return (self.mean + intensity * moved).expand(len(seeds), -1, -1).clone()

    def rebuild(self, faces: Tensor) -> Tensor:
        """See :class:`Generator`."""
        return self.mean.expand_as(faces).clone()


class LinearModel(MeanFace):
    """Principal components of neutral faces and of displacements, the linear 3D morphable model.

    Blanz and Vetter, SIGGRAPH 1999; displacements apart from identities as in Cao et al., TVCG 2014. A generated
    person has normal weights of the identities' components; an expression is its mean displacement.
    """

    def __init__(self, train: FaceSet) -> None:
        super().__init__(train)
        points = train.points().flatten(2)
        moved = (points[:, 1:] - points[:, :1]).flatten(0, 1)
        self.identity, self.deviation = _components(points[:, 0], IDENTITIES)
        self.movement, _ = _components(moved, EXPRESSIONS_KEPT, centred=False)

    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """See :class:`Generator`."""
        weights = _normal(seeds, len(self.deviation)) * self.deviation
        return super().faces(seeds, expression, intensity) + (weights @ self.identity).unflatten(1, (-1, 3))

    def rebuild(self, faces: Tensor) -> Tensor:
        """See :class:`Generator`: least squares."""
        basis = torch.cat((self.identity, self.movement))
        away = (faces - self.mean).flatten(1)
        weights = torch.linalg.lstsq(basis.T.double(), away.T.double()).solution
        return self.mean + (weights.T.float() @ basis).unflatten(1, (-1, 3))


class BilinearModel(MeanFace):
    """Multilinear model of identity and expression: Tucker decomposition of the data tensor.

    Vlasic et al., SIGGRAPH 2005; FaceScape's (Yang et al., CVPR 2020, Eq. 1) has the same form. A face is
    ``mean + core ×₁ identity ×₂ expression``, truncated by the higher-order SVD (De Lathauwer et al., 2000).
    """

    def __init__(self, train: FaceSet) -> None:
        super().__init__(train)
        points = train.points().flatten(2)
        data = points - points.mean(dim=(0, 1))
        self.middle = points.mean(dim=(0, 1))
        people = torch.linalg.eigh(torch.einsum("ped,qed->pq", data, data).double())[1].flip(1)[:, :IDENTITIES].float()
        kinds = torch.linalg.eigh(torch.einsum("ped,pfd->ef", data, data).double())[1].flip(1).float()
        self.core = torch.einsum("ped,pi,ek->ikd", data, people, kinds)
        self.people, self.kinds = people, kinds

    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """See :class:`Generator`; intensity interpolates between the weights of neutral and of the expression."""
        mean = self.people.mean(0)
        _, size, axes = torch.linalg.svd(self.people - mean, full_matrices=False)
        # Weights are correlated: the mean of all people is no zero of every component, so that drawing each component
        # by itself would also draw how strongly a person moves.
        who = mean + (_normal(seeds, len(size)) * size / max(len(self.people) - 1, 1) ** 0.5) @ axes
        rest, full = self.kinds[0], self.kinds[_place(self.expressions, expression)]
        made = torch.einsum("bi,k,ikd->bd", who, rest + intensity * (full - rest), self.core)
        return (self.middle + made).unflatten(1, (-1, 3))

    def rebuild(self, faces: Tensor) -> Tensor:
        """See :class:`Generator`: alternating least squares, from the neutral expression."""
        away = faces.flatten(1) - self.middle
        gram = torch.einsum("ikd,jld->ikjl", self.core, self.core).double()
        seen = torch.einsum("ikd,bd->bik", self.core, away).double()
        kind = self.kinds[0].double().expand(len(faces), -1)
        who = kind.new_zeros(len(faces), len(self.core))
        for _ in range(30):
            left = torch.einsum("bk,ikjl,bl->bij", kind, gram, kind)
            who = _solved(left, torch.einsum("bik,bk->bi", seen, kind))
            right = torch.einsum("bi,ikjl,bj->bkl", who, gram, who)
            kind = _solved(right, torch.einsum("bik,bi->bk", seen, who))
        made = torch.einsum("bi,bk,ikd->bd", who.float(), kind.float(), self.core)
        return (self.middle + made).unflatten(1, (-1, 3))


class NetworkModel:
    """A facekit model: its two conditional generators and its decoder (Rai et al., WACV 2023).

    Parameters
    ----------
    measured:
        (V,) bool: the vertices that the set measures.
    """

    def __init__(self, pipe: FacePipeline, measured: Tensor) -> None:
        self.pipe, self.measured = pipe, measured.to(pipe.device)

    def latents(self, seeds: Sequence[int], expression: str, intensity: float) -> FaceLatents:
        """Return latents of people with an expression."""
        people = FaceLatents.cat([FaceLatents.sample(seed) for seed in seeds])
        return people.with_expression(expression, intensity)

    @torch.no_grad()
    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """See :class:`Generator`."""
        codes = self.pipe.to_model_codes(self.latents(seeds, expression, intensity))
        return self.pipe.decode_shape(codes)[:, self.measured].cpu()

    def rebuild(self, faces: Tensor) -> Tensor:
        """See :class:`Generator`: noise, identity, style and expression codes by gradient descent from the mean."""
        return self._decoded(self.codes(faces))

    #: Sizes of the searched codes, in the order that :meth:`_network` takes them.
    sizes: tuple[int, ...] = (SHAPE_NOISE_DIM, IDENTITY_DIM, IDENTITY_DIM, EXPRESSION_DIM)

    def codes(self, faces: Tensor) -> Tensor:
        """Return codes (B, sum of the sizes) of the closest faces, by Adam on a subset of the vertices."""
        if len(faces) > _AT_ONCE:
            return torch.cat([self.codes(part) for part in faces.split(_AT_ONCE)])
        places = self.measured.nonzero()[:, 0]
        some = torch.arange(0, len(places), max(1, len(places) // _SEARCHED), device=places.device)
        target = faces.to(self.pipe.device)[:, some] - self.pipe.template.verts[places[some]]
        codes = torch.zeros(len(faces), sum(self.sizes), device=self.pipe.device, requires_grad=True)
        optimizer = torch.optim.Adam([codes], lr=_RATE)
        for step in range(_STEPS):
            optimizer.param_groups[0]["lr"] = _RATE * (1.02 - step / _STEPS)
            optimizer.zero_grad()
            away = self._network(codes, places[some]) - target
            (away.square().sum(-1).mean(1).sum() + _PRIOR * codes.square().sum()).backward()
            optimizer.step()
        return codes.detach()

    def _network(self, codes: Tensor, vertices: Tensor) -> Tensor:
        noise, identity, style, expression = codes.split(self.sizes, dim=1)
        return self.pipe.shape(noise, identity, style, expression, vertices)

    @torch.no_grad()
    def _decoded(self, codes: Tensor) -> Tensor:
        """Return the measured vertices (B, n, 3) in mm of codes."""
        places = self.measured.nonzero()[:, 0]
        return (self.pipe.template.verts[places] + self._network(codes, places)).cpu()


class Autoencoder(NetworkModel):
    """The decoder without the generators; codes are sampled from a normal distribution fitted to training people.

    This is the autoencoder before GAN training; the first part of a code is identity, the second expression.
    """

    def __init__(self, pipe: FacePipeline, measured: Tensor, train: FaceSet) -> None:
        super().__init__(pipe, measured)
        self.expressions = train.expressions
        config = pipe.shape.config
        self.sizes = (config.identity_latent, config.expression_latent)
        points = train.points()
        found = self.codes(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        who, worn = found.split(self.sizes, dim=2)
        self.mean, self.deviation = who[:, 0].mean(0), who[:, 0].std(0)
        self.worn = worn.mean(0)

    def faces(self, seeds: Sequence[int], expression: str, intensity: float) -> Tensor:
        """See :class:`Generator`; intensity interpolates between the mean codes of neutral and of the expression."""
        who = self.mean + _normal(seeds, len(self.mean)).to(self.mean) * self.deviation
        rest, full = self.worn[0], self.worn[_place(self.expressions, expression)]
        return self._decoded(torch.cat((who, (rest + intensity * (full - rest)).expand(len(who), -1)), dim=1))

    def _network(self, codes: Tensor, vertices: Tensor) -> Tensor:
        who, worn = codes.split(self.sizes, dim=1)
        return self.pipe.shape.decode(who, worn, vertices)


class UpstreamWay(NetworkModel):
    """The published sampling: shape identity and expression style drawn independently, with new noise in every call."""

    def latents(self, seeds: Sequence[int], expression: str, intensity: float) -> FaceLatents:
        """Return codes sampled as in upstream's script: new style and noise for each expression and intensity."""
        people = super().latents(seeds, expression, intensity)
        call = int.from_bytes(f"{expression}{intensity:.3f}".encode(), "little") % 1_000_003
        other = FaceLatents.cat([FaceLatents.sample(2_000_000 + 7919 * seed + call) for seed in seeds])
        return dataclasses.replace(
            people, style=other.style, shape_noise=other.shape_noise, texture_noise=other.texture_noise
        )


class StrangersSkin(NetworkModel):
    """The texture generator with another person's identity as its condition."""

    def latents(self, seeds: Sequence[int], expression: str, intensity: float) -> FaceLatents:
        """Return latents for :meth:`FacePipeline.decode_texture`; not for shapes."""
        return super().latents([seed + 500_009 for seed in seeds], expression, intensity)


class BlindSkin(NetworkModel):
    """A texture network without identity: everybody's code is zero."""

    def latents(self, seeds: Sequence[int], expression: str, intensity: float) -> FaceLatents:
        """Return latents for :meth:`FacePipeline.decode_texture`; not for shapes."""
        people = super().latents(seeds, expression, intensity)
        return dataclasses.replace(people, identity=torch.zeros_like(people.identity))


def _place(expressions: Sequence[str], name: str) -> int:
    if name not in expressions:
        raise InputError(f"an expression of the set: {', '.join(expressions)}", repr(name), "choose one of these")
    return list(expressions).index(name)


def _normal(seeds: Sequence[int], size: int) -> Tensor:
    """Sample standard normal numbers (B, size), a row per seed."""
    return torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def _components(data: Tensor, most: int, centred: bool = True) -> tuple[Tensor, Tensor]:
    """Return principal components (k, d) of rows (m, d) and the standard deviation (k,) along each.

    Uses the Gram matrix, which is small as there are far fewer rows than columns. Columns are converted to double
    precision in chunks: all at once they would dominate the experiment's memory.
    """
    data = data - data.mean(0) if centred else data
    values, vectors = torch.linalg.eigh(_gram(data))
    values, vectors = values.flip(0), vectors.flip(1)
    kept = min(most, int((values > 1e-9 * values[0]).sum()))
    size = values[:kept].clamp_min(1e-30).sqrt()
    turn = (vectors[:, :kept] / size).T
    components = torch.cat([(turn @ part).float() for part in _doubled(data)], dim=1)
    return components, (size / max(len(data) - 1, 1) ** 0.5).float()


def _gram(data: Tensor) -> Tensor:
    """Return the inner products (m, m) float64 of all pairs of rows (m, d)."""
    total = torch.zeros(len(data), len(data), dtype=torch.float64)
    for part in _doubled(data):
        total += part @ part.T
    return total


def _doubled(data: Tensor) -> Iterator[Tensor]:
    """Yield columns of rows (m, d) in double precision, in chunks."""
    return (part.double() for part in data.split(_COLUMNS, dim=1))


def _solved(left: Tensor, right: Tensor) -> Tensor:
    """Solve symmetric systems (B, k, k) with a tiny ridge for singular ones."""
    ridge = 1e-9 * left.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    return torch.linalg.solve(left + ridge * torch.eye(left.shape[1], dtype=left.dtype), right)
