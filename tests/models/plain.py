"""Forward passes of the published networks as plain functions of their state dicts, written without our modules."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

SIZES = (4, 8, 16, 32, 64, 128, 256, 512)


def plain_mlp(tensors, prefix, x):
    """Matrix products and leaky ramps on the layers of a state dict whose names begin with ``prefix``."""
    layers = sorted(name for name in tensors if name.startswith(prefix) and name.endswith(".weight"))
    for name in layers:
        x = x @ tensors[name].T + tensors[name.removesuffix("weight") + "bias"]
        if name != layers[-1]:
            x = torch.where(x > 0, x, 0.2 * x)
    return x


def plain_texture(tensors, code, size):
    """Convolutions on the texture generator's state dict: (B, 168) to (B, 3, size, size)."""

    def conv(x, name, pad):
        weight = tensors[f"{name}.conv.weight_orig"]
        fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
        return F.conv2d(x, weight * math.sqrt(2 / fan_in), tensors[f"{name}.conv.bias"], padding=pad)

    def ramp(x):
        return torch.where(x > 0, x, 0.1 * x)

    # A transposed convolution of one pixel is a matrix product; its fan-in counts the *output* channels.
    weight = tensors["input_layer.0.conv.weight_orig"]
    x = torch.einsum("bi,iohw->bohw", code, weight * math.sqrt(2 / (weight.shape[1] * 16)))
    x = x + tensors["input_layer.0.conv.bias"][:, None, None]
    x = ramp(x / (x.pow(2).mean(1, keepdim=True) + 1e-8).sqrt())
    for step in [s for s in SIZES if s <= size]:
        if step > 4:
            x = F.interpolate(x, size=(step, step), mode="bilinear", align_corners=False)
        x = ramp(conv(x, f"progression_{step}.conv.0", 1))
        x = ramp(conv(x, f"progression_{step}.conv.2", 1))
    return conv(x, f"to_rgb_{size}", 0)
