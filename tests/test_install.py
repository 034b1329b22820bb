"""The install line of an extra matches how facekit was installed, and never names the index's other project."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from facekit import install
from facekit.errors import MissingDependencyError, optional_import
from tests import ROOT


class Distribution:
    """Metadata that pip stores for an installed package."""

    def __init__(self, told: dict | None) -> None:
        self.told = told

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.told is None else json.dumps(self.told)


@pytest.fixture
def installed(monkeypatch):
    """facekit as an installed copy that came from the address given."""

    def came_from(told: dict | None) -> None:
        monkeypatch.setattr(install, "checkout", lambda: None)
        monkeypatch.setattr(metadata, "distribution", lambda name: Distribution(told))
        monkeypatch.setattr(metadata, "requires", lambda name: ["torch>=2.4", 'gdown>=5; extra == "weights"'])

    return came_from


def test_from_a_checkout(monkeypatch, tmp_path):
    assert install.checkout() == ROOT
    monkeypatch.chdir(tmp_path)
    assert install.install_line("notebook").endswith(f'-m pip install -e "{ROOT}[notebook]"')
    monkeypatch.chdir(ROOT)
    assert install.install_line("notebook").endswith('-e ".[notebook]"')
    assert "checkout" in install.origin()


def test_from_a_wheel(installed, tmp_path):
    wheel = tmp_path / "facekit3d-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install.install_line("weights").endswith(f'install "facekit3d[weights] @ {wheel.as_uri()}"')
    assert install.origin() == f"from {wheel.name}"
    wheel.unlink()
    assert install.install_line("weights").endswith('install "gdown>=5"'), "the wheel is gone: the packages themselves"


def test_from_a_repository_and_from_the_index(installed):
    installed({"url": "https://example.org/a/b", "vcs_info": {"vcs": "git", "commit_id": "1"}})
    assert install.install_line("app").endswith('"facekit3d[app] @ git+https://example.org/a/b"')
    installed(None)
    assert install.install_line("app").endswith('"facekit3d[app]"')
    assert install.origin() == "from the package index"


def test_missing_packages_are_told_with_that_line(monkeypatch):
    monkeypatch.setattr("sys.modules", {**__import__("sys").modules, "gdown": None})
    with pytest.raises(MissingDependencyError) as told:
        optional_import("gdown", "weights", "Google Drive")
    assert told.value.remedy == f"install it with: {install.install_line('weights')}"


PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "facekit/**/*.py", "notebooks/**/*.ipynb")
    for path in ROOT.glob(pattern)
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_tells_to_install_somebody_elses_project(path: Path):
    text = path.read_text(encoding="utf-8")
    assert "pip install facekit" not in text.replace("facekit3d", "")
    assert "install 'facekit[" not in text and 'install "facekit[' not in text
