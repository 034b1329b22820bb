"""Evaluation: experiments with control groups, and the measures that training and benchmarks share.

Experiments, one file each, run by :class:`~facekit.evaluate.experiment.Experiment` and ``facekit evaluate``:

* :mod:`~facekit.evaluate.generation`: identity, expression and texture of generated faces against controls;
* :mod:`~facekit.evaluate.detail`: displacement by region, against its parts and other ways to compose it;
* :mod:`~facekit.evaluate.units`: faces made for an action unit, measured by detectors;
* :mod:`~facekit.evaluate.reconstruction`: heads from synthetic photographs;
* :mod:`~facekit.evaluate.now`: the NoW challenge's distances from scans;
* :mod:`~facekit.evaluate.realy`: the REALY benchmark's errors by region;
* :mod:`~facekit.evaluate.facescape`: FaceScape's benchmark of single-view reconstructions;
* :mod:`~facekit.evaluate.svfr`: NeRSemble's, whose submission it writes;
* :mod:`~facekit.evaluate.agreement`: judges that you install, on photographs and on renders of reconstructions;
* :mod:`~facekit.evaluate.disfa`: action units against DISFA's labels.

Figures from faces and references, pure functions:

* :mod:`~facekit.evaluate.shape`: expressions (size, error, steadiness), lids, the autoencoder;
* :mod:`~facekit.evaluate.texture`: colour against a reference, the expression's share, sweeps, fine grain.
"""
