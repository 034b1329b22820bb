"""Texture from photographs: light and albedo apart, what is seen projected into the atlas, the rest completed.

* :mod:`~facekit.reconstruct.texture.grid`, ``views``: the texels of the face tile, and how each picture sees them;
* :mod:`~facekit.reconstruct.texture.lighting`, ``delight``: the renderer's shading turned round; light and albedo of
  pictures, with the texture network as prior;
* :mod:`~facekit.reconstruct.texture.mask`, ``poisson``, ``complete``: what is skin, and how the rest is filled;
* :mod:`~facekit.reconstruct.texture.compose`: all of it, one call.
"""
