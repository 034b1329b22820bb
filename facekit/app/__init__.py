"""A page to try facekit on, in a browser (extra ``app``): ``facekit app``, or a Space by ``make space``."""

from facekit.app.page import build, serve

__all__ = ["build", "serve"]
