"""A smile in five steps."""

import facekit
from facekit.viz.sheets import intensity_strip

pipe = facekit.FacePipeline.from_pretrained()
sweep = facekit.sweep_intensity(pipe, facekit.FaceLatents.sample(15), "smile", steps=5)
picture = intensity_strip(sweep, cell_size=256, image_size=256)
