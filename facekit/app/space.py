"""Lay out the folder of a Hugging Face Space: ``python -m facekit.app.space FOLDER``, or ``make space``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from facekit.files.atomic import atomic_write
from facekit.install import DISTRIBUTION, checkout
from facekit.version import __version__

#: Version of Gradio that the page is written for.
GRADIO = "6.0.0"

_APP = '''"""The Space: facekit's page to try."""

from facekit.app import serve

serve()
'''
_README = f"""---
title: facekit
emoji: 🙂
colorFrom: gray
colorTo: blue
sdk: gradio
sdk_version: {GRADIO}
python_version: "3.12"
app_file: app.py
license: mit
short_description: Controllable, textured 3D faces from a few numbers
---

facekit {__version__}: a few numbers become a textured 3D face. The faces are nobody's.
"""


def write(folder: str | Path) -> list[Path]:
    """Write ``app.py``, ``README.md`` with the Space's header and ``requirements.txt``, and the newest wheel of dist/.

    Returns
    -------
    list of Path
        The files. Without a wheel the requirements name the package on the index.
    """
    folder = Path(folder)
    root = checkout()
    wheels = sorted((root / "dist").glob(f"{DISTRIBUTION}-*.whl"), key=lambda p: p.stat().st_mtime) if root else []
    source = f"./{wheels[-1].name}[app]" if wheels else f"{DISTRIBUTION}[app]=={__version__}"
    texts = {"app.py": _APP, "README.md": _README, "requirements.txt": f"{source}\n"}
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if wheels:
        shutil.copy(wheels[-1], folder)
    return [folder / name for name in (*texts, *([wheels[-1].name] if wheels else []))]


if __name__ == "__main__":
    for path in write(sys.argv[1] if len(sys.argv) > 1 else "space"):
        print(path)
