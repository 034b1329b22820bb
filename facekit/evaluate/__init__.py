"""Evaluation: pure functions from faces and references to figures; whoever calls them brings the samples.

* :mod:`~facekit.evaluate.shape`: expressions (size, error, steadiness), lids, the autoencoder;
* :mod:`~facekit.evaluate.texture`: colour against a reference, the expression's share, sweeps, fine grain;
* :mod:`~facekit.evaluate.detail`: displacement against a reference, and the depth of wrinkles over intensity.
"""
