"""Kind of installation of facekit, and the command to install extras in the same way.

The package is called ``facekit3d`` on the package index and ``facekit`` in Python: the latter name on the index belongs
to somebody else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# metadata, json and urllib are imported on use: every command imports this module.

#: Name of the distribution for pip.
DISTRIBUTION = "facekit3d"


def pip() -> str:
    """Return the beginning of a command that installs into this environment."""
    return f"{os.path.basename(sys.executable) or 'python'} -m pip install"


def install_line(extra: str) -> str:
    """Return the command that installs an extra, for the way in which facekit itself was installed.

    It names the folder of a checkout, the file of a wheel, or the address of a repository. If the wheel is gone, as in
    a notebook's runtime, it lists the packages of the extra.

    Parameters
    ----------
    extra:
        For instance ``"notebook"``.
    """
    folder = checkout()
    if folder is not None:
        where = "." if folder == Path.cwd() else str(folder)
        return f'{pip()} -e "{where}[{extra}]"'
    url = _origin()
    if url is None:
        return f'{pip()} "{DISTRIBUTION}[{extra}]"'
    if not url.startswith("file:") or _path(url).exists():
        return f'{pip()} "{DISTRIBUTION}[{extra}] @ {url}"'
    return " ".join([pip(), *(f'"{package}"' for package in packages(extra))])


def checkout() -> Path | None:
    """Return the folder of the repository that facekit runs from; None for an installed copy."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "setup.py").is_file() and (root / "weights_manifest.json").is_file() else None


def origin() -> str:
    """Describe in a few words how facekit was installed."""
    folder, url = checkout(), _origin()
    if folder is not None:
        return f"from the checkout {folder}"
    if url is not None:
        return f"from {_path(url).name if url.startswith('file:') else url}"
    return "from the package index"


def packages(extra: str) -> list[str]:
    """Return the requirements of an extra, as ``pip install`` takes them; empty if unknown."""
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    split = [line.partition(";") for line in lines]
    return [name.strip() for name, _, marker in split if f'extra == "{extra}"' in marker.replace("'", '"')]


def _origin() -> str | None:
    """Return the address that pip installed facekit from (PEP 610); None for a package index."""
    import json
    from importlib import metadata

    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    if not text:
        return None
    told = json.loads(text)
    url, version_control = told["url"], told.get("vcs_info")
    return f"{version_control['vcs']}+{url}" if version_control else url


def _path(url: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))
