"""Sets of faces: meshes (:mod:`~facekit.generate.local`), labelled pictures (:mod:`~facekit.generate.job`)."""

#: Who makes labelled pictures, and the layouts that a finished set can have beside its shards.
ENGINES = ("local", "ray")
LAYOUTS = ("parquet", "coco", "imagefolder", "facesynthetics")
