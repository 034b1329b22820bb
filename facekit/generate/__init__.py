"""Synthetic data sets: meshes (:mod:`~facekit.generate.local`), labelled pictures (:mod:`~facekit.generate.job`)."""

#: Engines that make labelled pictures, and layouts that a complete set can be exported to.
ENGINES = ("local", "ray")
LAYOUTS = ("parquet", "coco", "imagefolder", "facesynthetics")
