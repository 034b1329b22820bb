"""Expressions mixed."""

import facekit
from facekit.viz.sheets import contact_sheet, render_faces

pipe = facekit.FacePipeline.from_pretrained()
person = facekit.FaceLatents.sample(34)
blends = [{"smile": 0.7, "brow_raiser": 0.5}, {"anger": 0.6, "jaw_forward": 0.4}, {"sadness": 0.6, "eye_closed": 0.5}]
faces = pipe(latents=facekit.FaceLatents.cat([person.blend(blend) for blend in blends]))
picture = contact_sheet(render_faces(faces, image_size=256), [" + ".join(blend) for blend in blends], columns=3)
