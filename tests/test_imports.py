"""Imports point one way, and ``import facekit`` stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import facekit

PACKAGE = Path(facekit.__file__).parent

PUBLIC = [
    "__version__",
    "FaceLatents",
    "FaceMesh",
    "FaceRig",
    "FaceOutput",
    "FacePipeline",
    "reconstruct",
    "Reconstruction",
    "sweep_intensity",
    "sweep_expressions",
    "Camera",
    "render",
    "save",
    "load",
    "Motion",
    "EXPRESSIONS",
    "MORPH_TARGETS",
    "BLENDSHAPES",
    "FacekitError",
]

# The house, floor by floor: a part imports what stands before it, in its row or on a floor above this line.
FLOORS = {
    "words": (
        "install",
        "errors",
        "conventions",
        "version",
        "color",
        "progress",
        "checks",
        "forks",
        "torch_defaults",
        "calling",
    ),
    "files": ("files", "report", "weights"),
    "geometry": ("geometry",),
    "values": (
        "traits",
        "codes",
        "latents",
        "person",
        "detail",
        "mesh",
        "dense",
        "template",
        "hairline",
        "hair",
        "source",
        "face",
    ),
    "pictures": ("render", "metrics"),
    "exchange": ("io",),
    "networks": ("models",),
    "published weights": ("convert",),
    "faces": ("assembly", "shape_decoder", "decoder", "pipeline", "hub", "sweeps", "motion", "reconstruct"),
    "tools": ("doctor", "data", "generate", "dataset", "evaluate", "viz", "compare", "demo", "app"),
    "shell": ("cli",),
    "training": ("train",),
}
ORDER = [name for names in FLOORS.values() for name in names]
# Convenience methods import inside the method: face.save(), face.render(); and a pickled face finds its model.
INSIDE_METHODS = {
    "mesh": {"render", "io"},
    "source": {"face", "pipeline"},
    "face": {"render", "io", "viz"},
    "pipeline": {"hub", "motion"},
}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """The parts of facekit that a file imports, and whether it does so inside a function; type checking is left out."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"facekit.{a.name}" for a in node.names] if node.module == "facekit" else [node.module]
        for name in names:
            if name.split(".")[0] == "facekit" and len(name.split(".")) > 1:
                found.append((name.split(".")[1], inside))
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return [(name, inside) for name, inside in found if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()]


def test_functions_are_not_hidden_by_their_packages():
    """Importing ``facekit.render.camera`` sets ``facekit.render`` to the package, which must still render."""
    import facekit.reconstruct.sample
    import facekit.render.camera

    mesh = facekit.FaceMesh(torch.eye(3)[None], torch.tensor([[0, 1, 2]]), torch.zeros(3, 2), torch.tensor([[0, 1, 2]]))
    for _ in range(2):
        with pytest.raises(facekit.FacekitError, match="quality"):
            facekit.render(mesh, quality="best")
        with pytest.raises(facekit.FacekitError, match="texture"):
            facekit.reconstruct("me.jpg", texture="none")


def test_every_part_has_its_floor():
    assert {part(path) for path in modules()} == set(ORDER)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    own = part(path)
    for name, inside in imports(path):
        if inside and name in INSIDE_METHODS.get(own, ()):
            continue
        assert ORDER.index(name) <= ORDER.index(own), f"{own} imports {name}, which stands further down"


def test_exceptions_are_needed():
    """Exceptions that no module uses must be removed from the list."""
    used = {(part(path), name) for path in modules() for name, inside in imports(path) if inside}
    assert {(own, name) for own, names in INSIDE_METHODS.items() for name in names} <= used


#: Script that imports torch once, runs each argument as code in its own fork, and prints the modules it loaded.
FORKS = """
import json, os, sys, torch
for code in sys.argv[1:]:
    if os.fork() == 0:
        exec(code)
        mine = sorted({m.split(".")[1] for m in sys.modules if m.startswith("facekit.")})
        print(json.dumps([mine, "torch._dynamo" in sys.modules]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, code
"""


def loaded_by(*codes: str) -> list[tuple[list[str], bool]]:
    """Return the parts of facekit that each piece of code loads, and whether it loads torch's compiler."""
    done = subprocess.run([sys.executable, "-c", FORKS, *codes], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_loading_a_part_loads_nothing_further_down():
    """At run time, too, each part imported alone only loads parts that stand before it."""
    names = ("models", "weights", "template", "render", "io", "latents")
    for name, (loaded, _) in zip(names, loaded_by(*(f"import facekit.{name}" for name in names)), strict=True):
        late = [other for other in loaded if ORDER.index(other) > ORDER.index(name)]
        assert name in loaded and not late, f"{name} loads {late}"


def test_networks_load_without_torchs_compiler():
    """It takes seconds to import, and drawing normal numbers on the meta device does."""
    dense, encoded, segment = (
        f"from facekit.reconstruct{name} import network; network()"
        for name in (".dense", ".encoded", ".texture.segment")
    )
    generators = "import facekit; facekit.FacePipeline.from_pretrained(device='cpu')"
    for _, compiler in loaded_by(dense.replace("network", "_network"), encoded, segment, generators):
        assert not compiler


def test_public_names_are_frozen():
    assert facekit.__all__ == PUBLIC
    assert dir(facekit) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist(name):
    assert getattr(facekit, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = facekit.nonsense


@pytest.mark.parametrize("module", ["facekit", "facekit.cli.main", "facekit.errors", "facekit.conventions"])
def test_light_imports_leave_the_heavy_alone(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'numpy', 'matplotlib', 'trimesh') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout.strip() == "[]"
