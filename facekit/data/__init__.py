"""Data sets of labelled faces as torch data sets."""

from facekit.data.shards import FaceShards, FaceStream

__all__ = ["FaceShards", "FaceStream"]
