"""Former location of :mod:`facekit.generate.local`, for scripts that import it from here."""

from facekit.generate.local import SetResult, generate_set
from facekit.generate.records import read_manifest

__all__ = ["SetResult", "generate_set", "read_manifest"]
