"""What is installed, what works, and how to install what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

from facekit.errors import FacekitError

# What importing a damaged or mismatched binary package raises.
BROKEN = (ImportError, OSError, RuntimeError, ValueError, SystemError)

CORE = ("torch", "numpy", "safetensors", "pillow", "matplotlib", "trimesh", "tqdm")

#: Optional packages: what pip calls them, what Python calls them, what they are for.
OPTIONAL: tuple[tuple[str, str, str], ...] = (
    ("anywidget", "anywidget", "the notebook viewer"),
    ("ipywidgets", "ipywidgets", "sliders in notebooks"),
    ("plotly", "plotly", "interactive plots"),
    ("gdown", "gdown", "the published research weights"),
    ("requests", "requests", "the published research weights"),
    ("filelock", "filelock", "the weight cache"),
    ("imageio", "imageio", "video files"),
    ("opencv-python-headless", "cv2", "video files"),
    ("mediapipe", "mediapipe", "faces from photographs"),
    ("ray", "ray", "generation on many machines"),
    ("pytorch3d", "pytorch3d", "the PyTorch3D rasterizer"),
)


@dataclass(frozen=True)
class Check:
    """One line of the report; ``ok`` is None where nothing can be wrong."""

    name: str
    value: str
    ok: bool | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All checks by section; ``healthy`` is False when something is wrong that facekit cannot do without."""

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
                if check.remedy:
                    lines.append(f"  {'':7}  {'':<{width}}  {check.remedy}")
        return "\n".join(lines)


def diagnose() -> Report:
    """Look at versions, devices, optional packages, the embedded model and the cache; changes nothing."""
    return Report(
        {
            "Versions": _versions(),
            "Devices": _devices(),
            "Model": [_embedded(), _cache()],
            "Optional": [_optional(*entry) for entry in OPTIONAL],
        }
    )


def _versions() -> list[Check]:
    from facekit import __version__

    checks = [
        Check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("facekit", __version__, True),
    ]
    for name in CORE:
        module = "PIL" if name == "pillow" else name
        try:
            importlib.import_module(module)
            checks.append(Check(name, _version(name), True))
        except BROKEN as error:
            checks.append(Check(name, f"{type(error).__name__}: {error}", False, f"pip install {name}"))
    return checks


def _devices() -> list[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    checks = [Check("CPU", f"{cores} cores")]
    try:
        import torch
    except BROKEN:
        return checks  # told among the versions
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
        size = sum(file.size for file in weights.record("default").files.values())
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
    # Looked for, not imported: some of these take seconds.
    if importlib.util.find_spec(module) is not None:
        return Check(package, f"{_version(package, module)}, for {purpose}", True)
    return Check(package, f"for {purpose}", False, install_line(package))


def install_line(package: str) -> str:
    """The command that installs an optional package into this very environment."""
    pip = f"{os.path.basename(sys.executable) or 'python'} -m pip install"
    if package != "pytorch3d":
        return f"{pip} {package}"
    # The package index has no wheels; these third-party ones are named after the torch they were built for.
    try:
        version = metadata.version("torch").split("+")
    except metadata.PackageNotFoundError:
        return f"{pip} torch, then ask again"
    build = version[1] if len(version) > 1 else "cpu"
    index = "https://miropsota.github.io/torch_packages_builder"
    return f"{pip} pytorch3d==0.7.9+pt{version[0]}{build} --extra-index-url {index}"


def _version(package: str, module: str | None = None) -> str:
    names = [package]
    if module is not None:  # opencv comes under four names
        names += metadata.packages_distributions().get(module, [])
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "installed"
