"""Imports point one way, and ``import facekit`` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facekit

PACKAGE = Path(facekit.__file__).parent

PUBLIC = [
    "__version__",
    "FaceLatents",
    "FaceMesh",
    "FaceRig",
    "FaceOutput",
    "FacePipeline",
    "sweep_intensity",
    "sweep_expressions",
    "Camera",
    "render",
    "save",
    "load",
    "EXPRESSIONS",
    "MORPH_TARGETS",
    "FacekitError",
]

# A module imports from its own row and from those above.
LAYERS = [
    {"conventions", "errors"},
    {"latents", "mesh", "face", "geometry"},
    {"template", "weights", "models", "render", "io", "metrics"},
    {"assembly"},
    {"pipeline"},
    {"sweeps"},
    {"viz", "dataset", "doctor"},
    {"demo", "compare"},
    {"cli", "cli_compare", "cli_options", "cli_weights"},
    {"train"},
]
# These know meshes, not models, not even inside a function.
MODEL_FREE = {"conventions", "errors", "latents", "geometry", "render", "io", "metrics"}
MODELS = {"models", "pipeline", "sweeps", "template"}
# Convenience methods import inside the method: face.save(), face.render(), latents.save().
INSIDE_METHODS = {"mesh": {"render", "io"}, "face": {"render", "io", "viz"}, "latents": {"io"}}


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


def layer(name: str) -> int:
    return next(k for k, names in enumerate(LAYERS) if name in names)


def test_every_part_has_its_layer():
    assert {part(path) for path in modules()} <= set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    own = part(path)
    for name, inside in imports(path):
        if inside and name in INSIDE_METHODS.get(own, ()):
            continue
        assert layer(name) <= layer(own), f"{own} imports {name}, which stands further down"
        assert own == "train" or name != "train", f"{own} imports train"
        if own in MODEL_FREE:
            assert name not in MODELS, f"{own} knows meshes, not models, but imports {name}"


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
