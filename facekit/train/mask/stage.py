"""The mask stage: train the network of bare skin and beards on synthetic photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from facekit.assembly import pick_device
from facekit.models.skin_mask import WIDTHS, SkinMask
from facekit.pipeline import FacePipeline
from facekit.train import export
from facekit.train.context import Context
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.mask.data import make_samples

#: Number of photographs, and per file; steps, batch size and peak learning rate: 35 minutes on two cores.
_SAMPLES, _SHARD, _STEPS, _BATCH, _RATE = 1000, 50, 3000, 24, 4e-3
_FILE = "skin_mask.safetensors"


def run(context: Context) -> None:
    """Make samples with the installed default, train on them, and write ``skin_mask.safetensors``."""
    torch.manual_seed(0)
    folder = context.work / "mask"
    folder.mkdir(exist_ok=True)
    pipe = FacePipeline.from_pretrained(device="cpu")
    files, total = [], context.scaled(_SAMPLES, 4)
    for start in range(0, total, _SHARD):
        count = min(_SHARD, total - start)
        files.append(folder / f"samples_{start}_{count}.npz")
        if not files[-1].is_file():
            make_samples(pipe, context.pack, files[-1], count, start)
    model = SkinMask(context.widths(*WIDTHS)).to(pick_device(None))
    model = train_mask(model, files, context.work, context.scaled(_STEPS)).cpu()
    export.write_weights(model, context.out / _FILE)


def train_mask(model: SkinMask, files: list[Path], folder: Path, steps: int = _STEPS, seed: int = 6) -> SkinMask:
    """Train on the samples of some files and return the moving average; resumes from the checkpoint in ``folder``.

    Training runs on the model's device.
    """
    device = next(model.parameters()).device
    loaded = [np.load(path, allow_pickle=False) for path in files]
    seen = torch.from_numpy(np.concatenate([part["seen"] for part in loaded])).to(device)
    masks = torch.from_numpy(np.concatenate([part["masks"] for part in loaded])).to(device)
    average, optimiser = Average(model, 0.99), torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    parts = {"model": model, "average": average, "optimiser": optimiser}
    for step in Checkpoint(folder / "mask.pt", parts).steps(steps, "skin mask"):
        set_rate(optimiser, cosine(step, steps, _RATE, warmup=min(100, steps // 4)))
        generator = step_generator(seed, step, device)
        index = torch.randint(len(seen), (_BATCH,), generator=generator, device=device)
        x, y = varied(seen[index].float() / 127, masks[index].float() / 255, generator)
        said = model(x)
        # Rims of glasses and strands matter by their length, not by their area: weigh pixels near edges more.
        edge = F.max_pool2d(y, 5, 1, 2) + F.max_pool2d(-y, 5, 1, 2)
        loss = (F.binary_cross_entropy_with_logits(said, y, reduction="none") * (1 + 2 * edge)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update(model)
        if step % 25 == 0:
            with (folder / "mask_log.csv").open("a") as file:
                file.write(f"{step},{loss.item():.5f}\n")
    return average.module


def varied(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror some pictures, and change their colours: (B, 9, S, S) and (B, 2, S, S), in the network's format."""
    count = len(x)
    flip = torch.rand(count, generator=generator, device=x.device)[:, None, None, None] < 0.5
    turned = x.flip(-1)
    turned[:, [3, 6]] *= -1  # x of normals, and u of the tile
    x, y = torch.where(flip, turned, x), torch.where(flip, y.flip(-1), y)
    colour = (x[:, :3] + 1) / 2
    gain = torch.exp(0.15 * torch.randn(count, 3, 1, 1, generator=generator, device=x.device))
    grey = (torch.rand(count, 1, 1, 1, generator=generator, device=x.device) < 0.08).float()
    colour = torch.lerp(colour, colour.mean(1, keepdim=True).expand_as(colour), grey) * gain
    noise = (
        0.03
        * torch.rand(count, 1, 1, 1, generator=generator, device=x.device)
        * torch.randn(colour.shape, generator=generator, device=x.device)
    )
    return torch.cat(((colour + noise).clamp(0, 1) * 2 - 1, x[:, 3:]), 1), y
