"""A page to try facekit on, in a browser (extra ``app``): ``facekit app``, or a Space by ``make space``."""

from facekit.app.page import LAUNCH, build

__all__ = ["LAUNCH", "build"]
