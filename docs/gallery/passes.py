"""Channels of a rendered picture: depth and normals."""

import facekit
from facekit.viz.sheets import close_up, contact_sheet

face = facekit.FacePipeline.from_pretrained()(seed=12)
shown = face.render(close_up(), 256)
near, far = shown.depth[shown.depth.isfinite()].aminmax()
depth = ((far - shown.depth) / (far - near)).clamp(0, 1).repeat(1, 3, 1, 1)
normals = shown.normals * 0.5 + 0.5
pictures = [facekit.files.images.to_uint8(image[0]) for image in (shown.rgb, depth, normals)]
picture = contact_sheet(pictures, ["colour", "depth", "normals"], columns=3, cell_size=256)
