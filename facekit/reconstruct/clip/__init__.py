"""Reconstruct a person and their motion from a video.

* :mod:`~facekit.reconstruct.clip.film`: read any video that OpenCV can decode, frame by frame;
* :mod:`~facekit.reconstruct.clip.track`, ``views``: track one face, and choose key frames for its identity;
* :mod:`~facekit.reconstruct.clip.follow`, ``steady``: fit pose, expression and gaze per frame, smooth them over time;
* :mod:`~facekit.reconstruct.clip.api`, ``result``, ``overlay``: the entry point and its results.
"""
