"""From a film of a person to the person and their motion.

* :mod:`~facekit.reconstruct.clip.film`: any film that OpenCV reads, a frame at a time;
* :mod:`~facekit.reconstruct.clip.track`, ``views``: one face followed through it, and the frames to know it by;
* :mod:`~facekit.reconstruct.clip.follow`, ``steady``: pose, expression, gaze of each frame, steadied;
* :mod:`~facekit.reconstruct.clip.api`, ``result``, ``overlay``: the call and what comes out.
"""
