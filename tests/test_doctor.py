"""doctor's report on PyTorch3D; the whole report is tested through the command."""

import importlib
import re
import sys
import sysconfig

import pytest
import torch

from facekit import doctor
from tests import ROOT

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


def pytorch3d() -> doctor.Check:
    return doctor._optional(*next(entry for entry in doctor.OPTIONAL if entry[0] == "pytorch3d"))


@pytest.mark.parametrize(
    "version, cuda, build", [("2.11.0+cu128", "12.8", "pt2.11.0cu128"), ("2.13.0", "13.0", "pt2.13.0cu130"),
                             ("2.4.1+cpu", None, "pt2.4.1cpu")],
)  # fmt: skip
def test_the_wheel_is_named_after_python_torch_and_cuda(monkeypatch, version, cuda, build):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-x86_64")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.wheel() == f"pytorch3d-0.7.9+{build}-{TAG}-{TAG}-linux_x86_64.whl"
    check = pytorch3d()
    first, second = check.remedy.splitlines()
    assert check.ok is False and f"pip install pytorch3d==0.7.9+{build} --find-links https://" in first
    assert doctor.wheel() in first and "--no-build-isolation git+https://" in second
    text = str(doctor.Report({"Optional": [check]}))
    assert len(text.splitlines()) == 4  # the section, what is missing, and two ways


def test_where_no_wheels_are_built_only_the_source_is_named(monkeypatch):
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-14.0-arm64")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.wheel() is None and doctor.package_line("pytorch3d") == doctor.source_line()
    assert pytorch3d().remedy.splitlines() == [f"from source, about 20 minutes: {doctor.source_line()}"]


def test_a_build_for_another_torch_is_told_from_one_that_works(monkeypatch):
    found = importlib.import_module
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor, "_version", lambda *names: "0.7.9")

    def broken(name):
        if name.startswith("pytorch3d"):
            raise ImportError("undefined symbol: _ZN2at4\nand more")
        return found(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    check = pytorch3d()
    assert check.ok is False and check.value == "0.7.9 does not load: undefined symbol: _ZN2at4"
    assert doctor.Report({"Optional": [check]}).healthy
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: torch)
    assert pytorch3d().ok is True and "works" in pytorch3d().value


@pytest.mark.parametrize("module", [module for _, module, _ in doctor.OPTIONAL])
def test_every_package_of_the_list_is_used(module):
    """Packages that no code imports are not listed."""
    asked = re.compile(rf"""optional_import\(\s*["']{module}|(?m:^\s*(?:import|from) {module}\b)""")
    package = ROOT / "facekit"
    assert any(asked.search(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")), module
