"""Texture from photographs: separate light and albedo, project visible skin into the atlas, complete the rest.

* :mod:`~facekit.reconstruct.texture.grid`, ``views``: the face tile's texels, and their visibility in each picture;
* :mod:`~facekit.reconstruct.texture.lighting`, ``delight``: the inverse of the renderer's shading; estimate light and
  albedo with the texture network as prior;
* :mod:`~facekit.reconstruct.texture.mask`, ``poisson``, ``complete``: segment skin, fill the rest;
* :mod:`~facekit.reconstruct.texture.compose`: all steps in one call.
"""
