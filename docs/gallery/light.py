"""One face in four lights."""

import facekit
from facekit.viz.sheets import close_up, contact_sheet

face = facekit.FacePipeline.from_pretrained()(seed=16, expression="smile", intensity=0.6)
lights = ["studio", "daylight", "rim", "flat"]
pictures = [face.render(close_up(), 256, lights=name).to_pil() for name in lights]
picture = contact_sheet(pictures, lights, columns=4, cell_size=256)
