"""The training pack's 14 skins, cleaned into layers that can be mixed.

Everything happens in optical density, ``D = -ln(linear RGB)``: there pigments add up and light is
achromatic, so that baked shading is the (1, 1, 1) part of the low frequencies and can be projected out. What
is left of each skin:

- ``melanin`` and ``haemoglobin``: low-frequency maps of where that person is browner or redder than on
average,
- ``detail``: everything finer than about 7 texels (wrinkles, blemishes, pores).

Where the pack's pictures show something other than skin (scalp hair, closed lids, eyeliner, painted lips,
nostrils, filled-in texels) the layers are replaced by smooth continuation and by noise of the same spectrum.

Tile coordinates in this package: ``x = u`` to the right, ``y = 1 - v`` downwards, both in [0, 1]; texel
edges at 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from facekit.train.arrays import smoothstep
from facekit.train.pack import require

# Change in optical density by more blood in the skin: green and blue are absorbed, red hardly is.
HAEMOGLOBIN_AXIS = np.array([0.17, 0.72, 0.60], np.float32)

# Real skin tones, light to dark, evenly spaced in perceived depth. A straight line in density between the ends would
# pass through grey in the middle; these keep the tan range saturated, as in people. The first principal component of
# the pack's skins, (0.42, 0.59, 0.69), and the difference of the ends, (0.50, 0.59, 0.63), agree to 6 degrees.
TONE_ANCHORS_SRGB = np.array(
    [
        [240, 206, 187],
        [229, 186, 160],
        [212, 162, 132],
        [186, 134, 103],
        [150, 103, 74],
        [105, 70, 49],
        [62, 41, 30],
    ],
    np.float32,
)

# Outline of reliable skin, left half, in tile coordinates: within the hairline of the hairiest skins, above the jaw's
# registration error. Mirrored for the right half.
_GOOD_OUTLINE = [(0.5, 0.12), (0.31, 0.15), (0.22, 0.23), (0.19, 0.30), (0.17, 0.40), (0.17, 0.55),
                 (0.22, 0.70),
                 (0.36, 0.80), (0.5, 0.78)]  # fmt: skip
# Ellipses (x, y, radius x, radius y), left half, with paint and baked shadow: eye, mouth, nostril, mouth corner, side
# of the nose, nose wing, glabella.
_PAINTED = [(0.345, 0.283, 0.125, 0.060), (0.5, 0.565, 0.155, 0.095), (0.462, 0.447, 0.042, 0.034),
            (0.385, 0.545, 0.045, 0.05), (0.445, 0.335, 0.045, 0.070), (0.43, 0.43, 0.035, 0.06),
            (0.5, 0.23, 0.055, 0.05)]  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """UV chart of the face in the tile (all arrays (S, S), row 0 at v = 1).

    inside: bool, texels of the chart with its eye and mouth openings filled in.
    openings: float32 in [0, 1], the openings themselves.
    fade: float32 in [0, 1], 0 on and outside the outer border, 1 deeper than 6 % of the tile; smooth.
    """

    inside: np.ndarray
    openings: np.ndarray
    fade: np.ndarray


@dataclass(frozen=True)
class SkinBank:
    """K cleaned skins with S² texels.

    names: K file stems.
    detail: (K, 3, S, S) float32, optical density, zero mean, finer than about 7 texels at 512².
    melanin, haemoglobin: (K, S/4, S/4) float32, in units of the tone curve's parameter and of
    ``HAEMOGLOBIN_AXIS``. tone: (K, 3) float32, mean optical density of cheeks and forehead.
    old, male: (K,) float32 in {0, 0.5, 1}, read off the names.
    """

    names: tuple[str, ...]
    detail: np.ndarray
    melanin: np.ndarray
    haemoglobin: np.ndarray
    tone: np.ndarray
    old: np.ndarray
    male: np.ndarray


def srgb_to_density(srgb: np.ndarray) -> np.ndarray:
    """Convert sRGB in [0, 1] to optical density (black is limited to 6)."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return -np.log(np.maximum(linear, np.exp(-6.0))).astype(np.float32)


def density_to_srgb(density: np.ndarray) -> np.ndarray:
    """Convert optical density to sRGB; inverse of :func:`srgb_to_density`."""
    linear = np.exp(-density)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def tile_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the texel centres, each (size, size) float32 in (0, 1)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))


def ellipse(size: int, x: float, y: float, rx: float, ry: float, softness: float = 0.35) -> np.ndarray:
    """Return a soft ellipse (size, size): 1 inside, fading to 0 between radius 1 and 1 + softness."""
    gx, gy = tile_grid(size)
    radius = np.hypot((gx - x) / rx, (gy - y) / ry)
    return 1 - smoothstep(radius, 1.0, 1.0 + softness)


def load_chart(pack: Path, size: int) -> Chart:
    """Rasterize the M_Face chart of the pack's mesh (its UVs in [0, 1]²)."""
    with np.load(require(pack, "ict_light.npz") / "ict_light.npz", allow_pickle=False) as mesh:
        face = list(mesh["material_names"]).index("M_Face")
        corners = mesh["uvs"][mesh["quads_uv"][mesh["material_of_quad"] == face]]
    scale = 4  # the openings' corners are finer than a texel
    canvas = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(canvas)
    for quad in np.stack([corners[..., 0], 1 - corners[..., 1]], -1) * size * scale:
        draw.polygon([tuple(p) for p in quad], fill=255)
    cover = np.asarray(canvas, np.float32) / 255
    filled = np.asarray(ndimage.binary_fill_holes(cover > 0.5))
    small = (size, scale, size, scale)
    openings = (filled - cover).clip(0, 1).reshape(small).mean((1, 3))
    inside = filled.reshape(small).mean((1, 3)) > 0.5
    padded = np.pad(inside, 1)  # the tile's border is a border, too
    depth = np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1] / size
    # The distance has ridges where two borders are equally near (ears); a small blur removes them.
    fade = ndimage.gaussian_filter(smoothstep(depth, 0.008, 0.058).astype(np.float32), 0.006 * size)
    return Chart(inside, openings.astype(np.float32), fade * smoothstep(depth, 0.002, 0.008).astype(np.float32))


def _mirror(mask: np.ndarray) -> np.ndarray:
    return np.maximum(mask, mask[..., ::-1])


def reliable_skin(pack: Path, size: int) -> np.ndarray:
    """Return the weight (size, size) in [0, 1]: 1 where the pack's pictures show only skin."""
    canvas = Image.new("L", (size, size))
    outline = _GOOD_OUTLINE + [(1 - x, y) for x, y in _GOOD_OUTLINE[::-1]]
    ImageDraw.Draw(canvas).polygon([(x * size, y * size) for x, y in outline], fill=255)
    good = ndimage.gaussian_filter(np.asarray(canvas, np.float32) / 255, 0.02 * size)
    for spot in _PAINTED:
        good = good * (1 - _mirror(ellipse(size, *spot)))
    path = require(pack, "skin_mask_uv.png") / "skin_mask_uv.png"
    mask = np.asarray(Image.open(path).convert("L").resize((size, size), Image.Resampling.BOX), np.float32) / 255
    return good * ndimage.grey_erosion(mask, 5)


def _continued_blur(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Return a Gaussian blur of `image` (3, S, S) over the texels with `weight`; the average far from them."""
    mean = (image * weight).sum((1, 2)) / weight.sum()
    floor = 1e-3
    norm = ndimage.gaussian_filter(weight, sigma) + floor
    return np.stack([(ndimage.gaussian_filter(c * weight, sigma) + floor * m) / norm
                     for c, m in zip(image, mean, strict=True)])  # fmt: skip


def _random_phase(patch: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise (3, size, size) with the power spectrum of `patch` (3, h, w).

    The spectrum is averaged over directions, as a directional one would look like fur on the bald head.
    """
    h, w = patch.shape[1:]
    window = np.hanning(h)[:, None] * np.hanning(w)
    spot = np.zeros((3, size, size), np.float32)
    spot[:, :h, :w] = patch * window / np.sqrt((window**2).sum())
    power = np.abs(np.fft.rfft2(spot)) ** 2
    ring = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    ring = (ring * size).astype(int)
    count = np.bincount(ring.ravel())
    profile = [np.bincount(ring.ravel(), p.ravel()) / np.maximum(count, 1) for p in power]
    common = np.fft.rfft2(rng.standard_normal((size, size)))
    own = np.fft.rfft2(rng.standard_normal((3, size, size)))
    noise = 0.95 * common + 0.31 * own  # skin varies mostly in brightness
    return np.fft.irfft2(np.stack([np.sqrt(p)[ring] for p in profile]) * noise, s=(size, size)).astype(np.float32)


def tone_curve(samples: int = 65) -> np.ndarray:
    """Return skin's optical density (samples, 3) over the tone parameter 0 (lightest) to 1 (darkest), C2."""
    from scipy.interpolate import CubicSpline

    anchors = srgb_to_density(TONE_ANCHORS_SRGB / 255)
    spline = CubicSpline(np.linspace(0, 1, len(anchors)), anchors)
    return spline(np.linspace(0, 1, samples)).astype(np.float32)


def load_skins(pack: Path, size: int = 512) -> SkinBank:
    """Read and clean the pack's skins (`pack` holds ``skins_uv/*.png``); about ten seconds at 512²."""
    paths = sorted((require(pack, "skins_uv") / "skins_uv").glob("*.png"))
    good = reliable_skin(pack, size)
    core = good > 0.9
    rng = np.random.default_rng(20)
    melanin_axis = tone_curve(3)[2] - tone_curve(3)[0]
    # Without its achromatic part a density change still separates melanin from blood: two unknowns in the chroma plane.
    axes = np.stack([melanin_axis, HAEMOGLOBIN_AXIS], 1)
    unmix = np.linalg.pinv(axes - axes.mean(0, keepdims=True))
    fine = 0.013 * size
    patch = (slice(int(0.38 * size), int(0.52 * size)), slice(int(0.20 * size), int(0.36 * size)))
    detail, low, tone = [], [], []
    for path in paths:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        density = srgb_to_density(np.asarray(image, np.float32).transpose(2, 0, 1) / 255)
        base = _continued_blur(density, good, fine)
        tone.append(density[:, core].mean(1))
        sharp = density - base
        # Dark skins are noisier in density, light ones smoother than real: compromise at a common level.
        sharp *= np.sqrt(0.040 / sharp[:, core].std())
        # The colour noise of the painted streaks is stronger than skin's: keep 60 % of the deviation from grey.
        sharp = 0.6 * sharp + 0.4 * sharp.mean(0)
        noise = _random_phase(sharp[(slice(None), *patch)], size, rng)
        sharp = np.tanh(sharp / 0.25) * 0.25 * good + 0.8 * noise * np.sqrt(1 - good**2)
        detail.append(sharp)
        filled = good * density + (1 - good) * _continued_blur(density, good, 0.08 * size)
        broad = np.stack([ndimage.gaussian_filter(c, 0.035 * size) for c in filled]) - tone[-1][:, None, None]
        broad = (broad + broad[..., ::-1]) / 2  # differences between the halves at this scale are due to light
        pigment = np.einsum("ac,chw->ahw", unmix, broad - broad.mean(0, keepdims=True))
        far = ndimage.gaussian_filter(good, 0.04 * size)
        low.append(pigment[:, ::4, ::4] * smoothstep(far, 0.02, 0.4)[::4, ::4])
    names = tuple(p.stem for p in paths)
    age = {"young": 0.0, "middleage": 0.5, "old": 1.0}
    maps = np.stack(low).astype(np.float32)
    return SkinBank(
        names=names,
        detail=np.stack(detail).astype(np.float32),
        # A quarter to half of the unmixing's result: its noise is as large as the signal.
        melanin=np.tanh(maps[:, 0] / 0.12) * 0.03,
        haemoglobin=np.tanh(maps[:, 1] / 0.40) * 0.20,
        tone=np.stack(tone).astype(np.float32),
        old=np.array([age[n.split("_")[0]] for n in names], np.float32),
        male=np.array([float("_male" in n) for n in names], np.float32),
    )
