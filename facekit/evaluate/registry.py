"""The experiments by name, for the command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from facekit.evaluate import disfa, now
from facekit.evaluate import generation as gen
from facekit.evaluate import reconstruction as recon
from facekit.evaluate.experiment import Experiment
from facekit.pipeline import FacePipeline


@dataclass(frozen=True)
class Entry:
    """An experiment that the command offers.

    Parameters
    ----------
    summary, data:
        What it measures, and what it needs, in a line each.
    protocol:
        Name and version of its rules.
    build:
        Sets it up from the command's arguments.
    """

    summary: str
    data: str
    protocol: str
    build: Callable[[argparse.Namespace], Experiment]


def _pipe(args: argparse.Namespace) -> FacePipeline:
    return FacePipeline.from_pretrained(args.model, None if args.device == "auto" else args.device)


def _generation(args: argparse.Namespace) -> Experiment:
    from facekit.data import facescape

    data = None if args.data is None else facescape.load(args.data)
    return gen.generation(_pipe(args), data, quick=args.quick, seed=args.seed)


EXPERIMENTS: dict[str, Entry] = {
    "generation": Entry(
        "Identity and expression apart, intensity under control, texture that follows, against linear, bilinear and "
        "other controls",
        "synthetic people of our own, or --data with FaceScape's TU models and --model 3dfacecam",
        gen.PROTOCOL,
        _generation,
    ),
    "reconstruction": Entry(
        "Heads from synthetic photographs: shape by region, motion, action units, pose and lens, against the mean face "
        "and a fit without the landmarker's response",
        "synthetic photographs of our own; needs the extra photo",
        recon.PROTOCOL,
        lambda args: recon.reconstruction(_pipe(args), quick=args.quick, seed=args.seed),
    ),
    "now": Entry(
        "Scan-to-mesh distance of the NoW challenge, median, mean and deviation over all points",
        "--data with NoW's validation set, --predictions with meshes and seven landmarks each",
        now.PROTOCOL,
        lambda args: now.now(args.data, args.predictions),
    ),
    "disfa": Entry(
        "Action units against DISFA's labels: F1 from intensity 2, ICC(3,1), mean absolute error",
        "--data with DISFA's ActionUnit_Labels, --predictions with one CSV per video: frame, AU1, AU2, …",
        disfa.PROTOCOL,
        lambda args: disfa.disfa(args.data, args.predictions),
    ),
}
