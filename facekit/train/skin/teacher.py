"""The deterministic texture teacher: from codes to the skin albedo of the face tile.

The conditional texture GAN learns to reproduce it. It is an explicit formula in optical density,
``D = -ln(linear)``::

    D = tone(melanin) + d tone/d melanin * (melanin marks) + haemoglobin axis * (blood marks) + detail + shade

over which lips, brows and lashes are blended. Every coefficient is a smooth function of the codes: no hashing, no
arg-max. All maps fade out toward the chart's border, where only one constant skin tone per face is left, which
continues on the back of the head.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.errors import InputError
from facekit.models.brows import brow_height, brow_lift, brow_lines, brow_stretch, brow_thickness
from facekit.models.composers.micro import HAIR_SRGB, freckle_density, hair_weights, stubble_strength
from facekit.train.skin import marks
from facekit.train.skin.folds import FLUSH_DRIVES, FOLD_DRIVES, drive_matrix
from facekit.train.skin.layers import FULL, MOLES, NOISES, SMOOTH, SkinLayers
from facekit.train.skin.photographs import HAEMOGLOBIN_AXIS, srgb_to_density, tone_curve
from facekit.traits import TRAITS, trait_axes


def unit_rows(count: int, seed: int) -> np.ndarray:
    """Return `count` random unit vectors (count, 20) of the identity space."""
    rows = np.random.default_rng(seed).standard_normal((count, 20))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class TextureTeacher(nn.Module):
    """T(identity, expression, noise) -> face tile.

    Parameters
    ----------
    layers:
        Layers from a training pack.
    size:
        Side of the tile, 512 or 512 / 2^n; smaller teachers are the area average of the full layers.
    """

    detail: Tensor
    fold: Tensor
    freckle: Tensor
    mole: Tensor
    lips: Tensor
    mouth: Tensor
    beard: Tensor
    lip_lines: Tensor
    lash: Tensor
    brow: Tensor
    skin_melanin: Tensor
    skin_blood: Tensor
    noise_field: Tensor
    zone: Tensor
    brow_lift: Tensor
    brow_centre: Tensor
    directions: Tensor
    skin_rows: Tensor
    brow_rows_z: Tensor
    mole_rows: Tensor
    old: Tensor
    male: Tensor
    tone: Tensor
    blood_axis: Tensor
    hair_density: Tensor
    fold_drive: Tensor
    flush_drive: Tensor

    def __init__(self, layers: SkinLayers, size: int = FULL) -> None:
        super().__init__()
        if size > FULL or FULL % size:
            raise InputError("a tile size of 512 divided by a power of two", str(size), "use 512, 256, 128, …")
        self.size, step = size, FULL // size

        def keep(name: str, array: np.ndarray, reduce: int = 1) -> None:
            tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
            if reduce > 1:
                flat = F.avg_pool2d(tensor.reshape(1, -1, *tensor.shape[-2:]), reduce)
                tensor = flat.reshape(*tensor.shape[:-2], *flat.shape[-2:])
            self.register_buffer(name, tensor, persistent=False)

        for name, layer in (*layers.full.items(), *layers.smooth.items()):
            keep(name, layer, step)
        # Smooth maps are mixed at a quarter of the size and upsampled once, in a quarter of the time.
        keep("zone", layers.zones, step * FULL // SMOOTH)
        self.zone_names = list(layers.zone_names)

        guides = layers.brow_guides
        centre = guides.mean(0)
        self.brow_rows = (FULL // 8 // step, FULL * 3 // 8 // step)
        columns = (np.arange(size) + 0.5) / size
        half = np.interp(columns, marks.BROW_X[::-1], np.arange(48)[::-1].astype(float))
        lift = np.stack([np.interp(half, np.arange(48), g - centre) for g in guides])
        rest = np.interp(half, np.arange(48), centre)
        mirror = np.where(columns < 0.5, 0.0, 1.0)  # the guides are left brows, mirrored on the right
        keep("brow_lift", lift * (1 - mirror) + lift[:, ::-1] * mirror)
        keep("brow_centre", rest * (1 - mirror) + rest[::-1] * mirror)

        keep("directions", trait_axes().numpy())
        keep("skin_rows", unit_rows(len(layers.bank.names), 3))
        keep("brow_rows_z", unit_rows(len(guides), 4))
        keep("mole_rows", unit_rows(MOLES, 6))
        keep("old", layers.bank.old)
        keep("male", layers.bank.male)
        keep("tone", tone_curve(65))
        keep("blood_axis", HAEMOGLOBIN_AXIS)
        keep("hair_density", srgb_to_density(np.array(HAIR_SRGB) / 255))
        keep("fold_drive", drive_matrix(FOLD_DRIVES, list(layers.fold_names)))
        keep("flush_drive", drive_matrix(FLUSH_DRIVES, [*layers.zone_names, "lips"]))

    def attributes(self, z_id: Tensor) -> dict[str, Tensor]:
        """Return smooth attributes of identities `z_id` (B, 20), standard normal.

        Scalars (B,) in [0, 1], uniform over people: melanin, age, masculinity, lip_colour, under_eye, cheeks,
        nose_redness, lashes, ears, mottling; skewed: brow_thickness, stubble. Scalars around zero:
        haemoglobin, brow_height, lip_depth, hue. Vectors that sum to 1: skins (B, 14), brows (B, 12), hair
        (B, 6). Vectors in [0, 1]: freckles (B, 6), moles (B, 40).
        """
        z = z_id.to(self.directions.dtype)
        p: dict[str, Tensor] = dict(zip(TRAITS, (z @ self.directions.T).unbind(-1), strict=True))
        cdf = {n: torch.special.ndtr(p[n]) for n in TRAITS}
        melanin, age, male = cdf["melanin"], cdf["age"], cdf["masculinity"]
        skins = 2.2 * z @ self.skin_rows.T + 2.5 * (2 * age - 1)[:, None] * (2 * self.old - 1)
        skins = skins + 1.5 * (2 * male - 1)[:, None] * (2 * self.male - 1)
        steps = torch.linspace(0.62, 1.35, 6, device=z.device)
        return {
            "melanin": melanin, "age": age, "masculinity": male, "haemoglobin": p["haemoglobin"],
            "brow_thickness": brow_thickness(p), "brow_height": brow_height(p), "lip_colour": cdf["lip_colour"],
            "lip_depth": torch.tanh(p["lip_depth"]), "under_eye": cdf["under_eye"], "cheeks": cdf["cheeks"],
            "stubble": stubble_strength(p), "nose_redness": cdf["nose_redness"],
            "lashes": cdf["lashes"], "ears": cdf["ears"],
            "mottling": cdf["mottling"], "hue": torch.tanh(0.7 * p["hue"]),
            "skins": torch.softmax(skins, -1), "brows": brow_lines(z, self.brow_rows_z),
            "hair": hair_weights(p), "freckles": torch.sigmoid(14 * (freckle_density(p)[:, None] - steps)),
            "moles": torch.sigmoid(7 * (z @ self.mole_rows.T - 1.75)),
        }  # fmt: skip

    def skin_tone(self, attributes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the optical density of the constant tone, and its derivative by melanin, each (B, 3)."""
        place = (0.02 + 0.96 * attributes["melanin"]) * (len(self.tone) - 1)
        knots = torch.arange(len(self.tone), device=place.device)
        # Linear interpolation on the 65 samples; the kinks are below 8-bit resolution.
        hats = (1 - (place[:, None] - knots).abs()).clamp_min(0)
        tone = hats @ self.tone
        wide = torch.softmax(-0.5 * ((place[:, None] - knots) / 3) ** 2, -1)
        slope = wide @ torch.gradient(self.tone, dim=0)[0] * (len(self.tone) - 1)
        blood = (0.10 + 0.10 * torch.tanh(attributes["haemoglobin"])) * (1 - 0.5 * attributes["melanin"])
        hue = 0.045 * attributes["hue"][:, None] * self.tone.new_tensor([0.0, -0.3, 1.0])
        yellow = 0.05 * attributes["age"][:, None] * self.tone.new_tensor([0.1, 0.2, 1.0])
        return tone + blood[:, None] * self.blood_axis + hue + yellow, slope

    def _soft_marks(self, a: dict[str, Tensor], flush: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return low-frequency melanin, blood and shade maps, each (B, 1, S, S)."""
        batch, names = len(noise), self.zone_names
        melanin, blood, shade = (torch.zeros(batch, len(names), device=noise.device) for _ in range(3))

        def put(target: Tensor, zone: str, value: Tensor) -> None:
            target[:, names.index(zone)] = value

        pale = 1 - a["melanin"]
        put(blood, "cheeks", (0.05 + 0.26 * a["cheeks"]) * (0.45 + 0.55 * pale))
        put(blood, "nose", 0.07 + 0.14 * a["nose_redness"])
        put(blood, "chin", 0.04 + 0.05 * a["nose_redness"])
        put(blood, "ears", 0.10 + 0.15 * a["ears"])
        put(blood, "forehead", -0.03 + 0.02 * a["cheeks"])
        put(blood, "lids", 0.05 + 0.06 * a["under_eye"])
        put(blood, "lid_margin", 0.22 + 0.1 * a["cheeks"])
        put(blood, "under_eye", 0.05 + 0.10 * a["under_eye"])
        put(blood, "nostrils", 0.12 + 0 * pale)
        put(melanin, "under_eye", 0.004 + 0.035 * a["under_eye"] * (0.6 + 0.4 * a["age"]))
        put(melanin, "lids", 0.012 + 0.030 * a["under_eye"])
        put(melanin, "socket", 0.010 + 0.015 * a["under_eye"])
        put(melanin, "forehead", 0.008 + 0.014 * a["melanin"])
        put(melanin, "nostrils", 0.05 + 0 * pale)
        put(shade, "nostrils", 0.60 + 0 * pale)
        blood = blood + flush[:, :-1] * (0.6 + 0.4 * pale[:, None])
        zone = self.zone.flatten(1)
        mottle = noise[:, :NOISES] / 4
        amount = ((0.4 + 0.6 * a["mottling"] + 0.6 * a["age"]) * (1 - 0.5 * a["melanin"]))[:, None]
        halves = mottle * mottle.new_tensor([1.0] * 8 + [0.0] * 8)
        maps = torch.stack(
            [melanin @ zone + a["skins"] @ self.skin_melanin.flatten(1)
             + 0.008 * amount * (halves @ self.noise_field.flatten(1)),
             blood @ zone + a["skins"] @ self.skin_blood.flatten(1)
             + 0.035 * amount * ((mottle - halves) @ self.noise_field.flatten(1)),
             shade @ zone], 1)  # fmt: skip
        small = self.zone.shape[-1]
        large = F.interpolate(
            maps.view(batch, 3, small, small), size=(self.size,) * 2, mode="bicubic", align_corners=False
        )
        return large[:, :1], large[:, 1:2], large[:, 2:]

    def _brow_alpha(self, a: dict[str, Tensor]) -> Tensor:
        """Return the brow coverage (B, 1, rows, S) of ``brow_rows``: hair layers moved to the mixed centre line of the
        guides.
        """
        thick = a["brow_thickness"]
        knots = thick.new_tensor([0.0, 0.5, 1.0])
        weights = torch.softmax(-((thick[:, None] - knots) ** 2) * 9, -1)
        low, high = self.brow_rows
        band = torch.einsum("bk,khw->bhw", weights, self.brow[:, low:high])[:, None]
        lift = brow_lift(a["brows"], self.brow_lift, a["brow_height"])
        stretch = brow_stretch(thick)[:, None, None]
        y = (torch.arange(low, high, device=lift.device) + 0.5)[:, None] / self.size
        source = self.brow_centre + (y - self.brow_centre - lift[:, None, :]) / stretch
        x = (torch.arange(self.size, device=lift.device) + 0.5) / self.size
        scaled = (source * self.size - low) / (high - low)
        grid = torch.stack([x.expand_as(scaled) * 2 - 1, scaled * 2 - 1], -1)
        return F.grid_sample(band, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @torch.no_grad()
    def forward(self, z_id: Tensor, z_exp: Tensor, noise: Tensor) -> Tensor:
        """Return the skin albedo (B, 3, size, size) float32 sRGB in [0, 1], row 0 at v = 1.

        Parameters
        ----------
        z_id:
            (B, 20) float32, standard normal.
        z_exp:
            (B, 20) float32, one-hot times intensity 0 to 1.5, or a mix of several.
        noise:
            (B, 128) float32, standard normal; the first :data:`NOISES` are used.
        """
        # At full size the layers of a single sample fit in the cache; below, a batch is up to ten times faster.
        if z_id.device.type == "cpu" and self.size > 256 and len(z_id) > 1:
            return torch.cat(
                [self(*codes) for codes in zip(z_id.split(1), z_exp.split(1), noise.split(1), strict=True)]
            )
        a = self.attributes(z_id)
        batch, pixels = len(z_id), self.size**2
        view = (batch, 1, self.size, self.size)
        # Blood flow and folds respond quickly and saturate: 0 at 0, monotone, smooth.
        flush = z_exp @ self.flush_drive
        flush = 0.8 * torch.tanh(1.6 * flush / 0.8)
        folds = 1 - torch.exp(-1.1 * (z_exp @ self.fold_drive))
        folds = folds * ((0.45 + 0.75 * a["age"]) * (1 + 0.3 * a["melanin"]))[:, None]
        tone, slope = self.skin_tone(a)
        melanin, blood, shade = self._soft_marks(a, flush, noise)

        spots = 0.11 * a["freckles"] @ self.freckle.view(-1, pixels) + 0.30 * a["moles"] @ self.mole.view(MOLES, pixels)
        melanin = melanin + spots.view(view) * (1 - 0.55 * a["melanin"]).view(-1, 1, 1, 1)
        # Creases have shadow with a little blood, not black.
        shade = shade + 0.30 * (folds @ self.fold.view(-1, pixels)).view(view)
        blood = blood + 0.10 * (folds @ self.fold.view(-1, pixels)).view(view)
        stubble = (a["stubble"].view(-1, 1, 1, 1) * self.beard) * (0.08 + 0.10 * a["hair"][:, :2].sum(1)).view(
            -1, 1, 1, 1
        )
        shade = shade + stubble
        # Averaging K details reduces contrast; dividing by the norm of the weights restores it.
        loud = (0.52 + 0.30 * a["age"]) / a["skins"].square().sum(-1).sqrt().clamp_min(0.3)
        detail = ((a["skins"] * loud[:, None]) @ self.detail.view(len(self.old), -1)).view(
            batch, 3, self.size, self.size
        )
        lips, mouth = self.lips, self.mouth
        detail = detail * (1 - 0.85 * lips)
        density = tone[:, :, None, None] + detail + shade + slope[:, :, None, None] * melanin
        density = density + self.blood_axis.view(1, 3, 1, 1) * blood
        density[:, 0:1] += 0.35 * stubble  # beard shadow is bluish: red is reduced most

        deep = a["melanin"]
        red = 0.34 + 0.34 * a["lip_colour"] * (1 - 0.5 * deep) + flush[:, -1]
        brown = 0.045 + 0.05 * a["lip_depth"] + 0.08 * deep * (1 - deep) - 0.02 * deep
        lip = (tone + red[:, None] * self.blood_axis + brown[:, None] * slope)[:, :, None, None]
        mucosa = 0.20 * mouth * self.blood_axis.view(3, 1, 1) + 0.10 * mouth
        lip = lip + mucosa + (0.020 + 0.03 * a["age"]).view(-1, 1, 1, 1) * self.lip_lines
        density = density + lips * (lip + 0.5 * blood * self.blood_axis.view(1, 3, 1, 1) - density) * 0.92

        hair = (a["hair"] @ self.hair_density)[:, :, None, None]
        rows = slice(*self.brow_rows)
        brow = 0.92 * self._brow_alpha(a)
        density[:, :, rows] += brow * (
            torch.maximum(hair, density[:, :, rows].mean((2, 3), keepdim=True) + 0.4) - density[:, :, rows]
        )
        lash = (0.55 + 0.35 * a["lashes"]).view(-1, 1, 1, 1) * (self.lash[0] + 0.55 * self.lash[1])
        density = density + lash.clamp_max(0.9) * (hair.clamp_min(2.6) - density)
        # The linear segment of sRGB is left out: skin and hair never get that dark.
        return (1.055 * torch.exp(density.clamp(0, 5.2) / -2.4) - 0.055).clamp(0, 1)
