# @title Set up facekit: run this cell first {display-mode: "form"}
KEEP_WEIGHTS_IN_DRIVE = False  # @param {type: "boolean"}

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY, NEEDS = "", []
COLAB, DRIVE = "google.colab" in sys.modules, Path("/content/drive/MyDrive")
if COLAB and KEEP_WEIGHTS_IN_DRIVE:  # what was fetched once is there again in the next runtime
    from google.colab import drive

    drive.mount("/content/drive")
    os.environ["FACEKIT_CACHE"] = str(DRIVE / "facekit" / "cache")
if None in map(importlib.util.find_spec, ("facekit", "trimesh")):
    here, pip, wheels = Path.cwd(), [sys.executable, "-m", "pip", "install"], []
    sources = [str(folder) for folder in (here, *here.parents) if (folder / "weights_manifest.json").is_file()]
    for ask in (False, True):
        if ask and COLAB and not (sources or wheels or REPOSITORY):
            from google.colab import files

            print("Choose facekit's wheel, facekit3d-…-any.whl; `make wheel` in its repository writes it into dist/.")
            files.upload()
        folders = (here, DRIVE, DRIVE / "facekit")
        wheels = [path for folder in folders for path in folder.glob("facekit*-any*.whl")]
    if wheels and not sources:  # a browser's second download is called "… (1).whl", which pip refuses
        newest = max(wheels, key=os.path.getmtime)
        sources = [shutil.copy(newest, Path(tempfile.mkdtemp()) / re.sub(r" ?\(\d+\)", "", newest.name))]
    if not sources and not REPOSITORY:
        raise SystemExit("facekit is not here. Put its wheel, facekit3d-…-any.whl, beside this notebook; run again.")
    source = sources[0] if sources else f"git+https://github.com/{REPOSITORY}"
    parts = "" if COLAB else "[notebook]"
    target = f"{source}{parts}" if sources else f"facekit3d{parts} @ {source}"
    for command in ([*pip, *NEEDS], [*pip, "--no-deps", target]) if COLAB else ([*pip, target],):
        subprocess.run(command, check=True)
from facekit.viz import notebook

notebook.setup_report()
