"""Sample photograph: NASA's portrait of the astronaut Eileen Collins (1999), which is in the public domain."""

from pathlib import Path

#: Path of the photograph, a JPEG of 512 x 512 pixels.
PHOTOGRAPH = Path(__file__).parent / "astronaut.jpg"
