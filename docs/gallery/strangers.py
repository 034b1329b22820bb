"""Six strangers."""

import facekit
from facekit.viz.sheets import contact_sheet, render_faces

pipe = facekit.FacePipeline.from_pretrained()
people = pipe(latents=facekit.FaceLatents.sample(10, count=6))
picture = contact_sheet(render_faces(people, image_size=256), columns=3, cell_size=256)
