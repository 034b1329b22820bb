"""Web page to try facekit (extra ``app``): ``facekit app``, or a Space by ``make space``."""

from facekit.app.page import build, serve

__all__ = ["build", "serve"]
