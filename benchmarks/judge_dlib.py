"""Feature vectors of faces by dlib's recogniser (King 2017), for ``judges.py``, which runs this file where dlib is:
the folder is its argument, names of pictures come line by line.

Needs the packages ``dlib`` (or ``dlib-bin``), ``numpy``, ``pillow`` and ``face_recognition_models``, which brings the
weights. The steps are those of ``face_recognition.face_encodings``, but the enlarged picture is searched only where no
face was found.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path


def vectors(folder: Path, names: list[str]) -> dict[str, list[list[float]]]:
    """Return the vectors (128,) of the faces in pictures of a folder, by the pictures' names."""
    import dlib
    import numpy as np
    from PIL import Image

    # Found, not imported: the package asks for pkg_resources, which newer setuptools lacks.
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("no face_recognition_models")
    models = Path(spec.submodule_search_locations[0]) / "models"
    detector = dlib.get_frontal_face_detector()
    points = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
    found = {}
    for name in names:
        picture = np.asarray(Image.open(folder / name).convert("RGB"))
        boxes = detector(picture, 0) or detector(picture, 1)
        found[name] = [list(network.compute_face_descriptor(picture, points(picture, box))) for box in boxes]
    return found


if __name__ == "__main__":
    print(json.dumps(vectors(Path(sys.argv[1]), sys.stdin.read().splitlines())))
