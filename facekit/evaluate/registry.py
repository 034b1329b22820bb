"""Experiments by name, for the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from facekit.evaluate import agreement, detail, disfa, facescape, now, predict, realy, svfr
from facekit.evaluate import generation as gen
from facekit.evaluate import reconstruction as recon
from facekit.evaluate import units as asked
from facekit.evaluate.experiment import Experiment
from facekit.pipeline import FacePipeline


@dataclass(frozen=True)
class Entry:
    """Experiment offered by the command.

    Parameters
    ----------
    summary, data:
        What it measures, and what it needs, in a line each.
    protocol:
        Name and version of its rules.
    build:
        Builds the experiment from the command's arguments.
    """

    summary: str
    data: str
    protocol: str
    build: Callable[[argparse.Namespace], Experiment]


def _pipe(args: argparse.Namespace) -> FacePipeline:
    return FacePipeline.from_pretrained(args.model, None if args.device == "auto" else args.device)


def _generation(args: argparse.Namespace) -> Experiment:
    from facekit.data.facescape import load

    data = None if args.data is None else load(args.data)
    return gen.generation(_pipe(args), data, quick=args.quick, seed=args.seed, controls=args.controls)


def _now(args: argparse.Namespace) -> Experiment:
    if args.pictures is not None:
        predict.predict_now(_pipe(args), args.data, args.pictures, args.predictions)
    return now.now(args.data, args.predictions)


def _realy(args: argparse.Namespace) -> Experiment:
    if args.pictures is not None:
        predict.predict_realy(_pipe(args), args.data, args.pictures, args.predictions)
    return realy.realy(args.data, args.predictions)


EXPERIMENTS: dict[str, Entry] = {
    "generation": Entry(
        "Identity and expression apart, intensity under control, texture that follows, against linear, bilinear and "
        "other controls",
        "synthetic people of our own, or --data with FaceScape's TU models and --model 3dfacecam",
        gen.PROTOCOL,
        _generation,
    ),
    "detail": Entry(
        "Fine relief by region, coarse against fine: none, static, dynamic, both, scalar tension, across furrows; and "
        "each person's dynamic detail on each other's face as a picture",
        "--data with a set of python -m facekit.train --stages relief, or FaceScape's folder and --model 3dfacecam",
        detail.PROTOCOL,
        lambda args: detail.detail(_pipe(args), args.data, quick=args.quick),
    ),
    "units": Entry(
        "Faces asked for one action unit at rising intensity, by blendshapes and by expressions, read by geometry and "
        "by MediaPipe",
        "people of our own; the pictures need the extra photo",
        asked.PROTOCOL,
        lambda args: asked.units(_pipe(args), quick=args.quick, seed=args.seed),
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
        "--data with NoW's validation set, --predictions with meshes and seven landmarks each; or --pictures",
        now.PROTOCOL,
        _now,
    ),
    "realy": Entry(
        "Errors of four regions of REALY's scans: aligned each by itself, registered without tearing",
        "--data with REALY's scans, --predictions with meshes of one topology and its 85 keypoints; or --pictures",
        realy.PROTOCOL,
        _realy,
    ),
    "facescape": Entry(
        "FaceScape's benchmark of single-view reconstructions: chamfer distance, normals, completeness on a cylinder",
        "--data with the benchmark's scans and tables, --predictions with wild/ and lab/ in their cameras' space",
        facescape.PROTOCOL,
        lambda args: facescape.facescape(args.data, args.predictions),
    ),
    "svfr": Entry(
        "NeRSemble's benchmark of single-view reconstructions: writes the submission that its server measures",
        "--data with the benchmark's pictures; needs the extra photo",
        svfr.PROTOCOL,
        lambda args: svfr.svfr(_pipe(args), args.data, args.out),
    ),
    "agreement": Entry(
        "Detectors of action units and recognisers that you install: renders of reconstructions against photographs",
        "--data with photographs, --predictions with renders of the same names and fitted_with.txt",
        agreement.PROTOCOL,
        lambda args: agreement.agreement(args.data, args.predictions),
    ),
    "disfa": Entry(
        "Action units against DISFA's labels: F1 from intensity 2, ICC(3,1), mean absolute error",
        "--data with DISFA's ActionUnit_Labels, --predictions with one CSV per video: frame, AU1, AU2, …",
        disfa.PROTOCOL,
        lambda args: disfa.disfa(args.data, args.predictions),
    ),
}
