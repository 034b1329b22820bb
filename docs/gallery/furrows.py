"""Furrows, and the displacement they are."""

import facekit
from facekit.viz.sheets import contact_sheet

pipe = facekit.FacePipeline.from_pretrained()
close = facekit.Camera.front(distance=470.0, target=(0.0, 42.0, 60.0))
faces = [pipe(seed=34, expression="brow_raiser", intensity=1.2, detail=detail) for detail in (False, "static", True)]
pictures = [face.render(close, 320).to_pil() for face in faces]
picture = contact_sheet(pictures, ["off", "static", "static and dynamic"], columns=3)
