"""Writes the repository's address into the notebooks: badge, setup cell; strips their outputs.

The address stands in one place, ``[tool.facekit] repository`` of pyproject.toml, and is empty until there is one::

    python notebooks/stamp.py owner/name    set the address, stamp the notebooks
    python notebooks/stamp.py               stamp them with the address that is set
    python notebooks/stamp.py --check       exit code 1 if any of them is not stamped so
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
ADDRESS = re.compile(r'(?m)^(\[tool\.facekit\]\nrepository = )"(.*)"$')
MARK = "<!-- badge -->"  # at the end of its line: what follows a comment would not be read as Markdown

BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({}) "
COLAB = "https://colab.research.google.com/github/{}/blob/main/notebooks/{}"
# Until there is an address the badge leads to Colab's own upload page.
UPLOAD = "https://colab.research.google.com/#upload=true"
UNPUBLISHED = "*Upload this notebook and, beside it, facekit's wheel: the public address comes with publication.* "

SETUP = """\
# Finds facekit, or installs it: from the checkout this lies in, from an uploaded wheel or zip, or from its address.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY, NEEDS = {repository}, {needs}
if None in map(importlib.util.find_spec, ("facekit", "trimesh")):
    here, pip = Path.cwd(), [sys.executable, "-m", "pip", "install", "--quiet"]
    found = [p for p in (here, *here.parents) if (p / "weights_manifest.json").is_file()]
    found += [*here.glob("facekit*.whl"), *here.glob("facekit*.zip")]
    assert found or REPOSITORY, "Put facekit's wheel, or a zip of its repository, beside this notebook and run again."
    source = found[0].as_uri() if found else f"git+https://github.com/{{REPOSITORY}}"
    in_colab = [[*pip, *NEEDS], [*pip, "--no-deps", f"facekit @ {{source}}"]]
    for command in in_colab if "google.colab" in sys.modules else [[*pip, f"facekit[notebook] @ {{source}}"]]:
        subprocess.run(command, check=True)
from facekit.viz import notebook

notebook.setup_report()"""


def requirements() -> list[str]:
    """What Colab lacks, from requirements-colab.txt."""
    lines = (ROOT / "requirements-colab.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def stamped(text: str, name: str, repository: str, needs: list[str]) -> str:
    """The notebook's text as it should be."""
    notebook = json.loads(text)
    link = BADGE.format(COLAB.format(repository, name) if repository else UPLOAD) + ("" if repository else UNPUBLISHED)
    setup = SETUP.format(repository=json.dumps(repository), needs=json.dumps(needs))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"], cell["metadata"] = [], None, {}
        if cell["id"] == "setup":
            cell["source"] = setup.splitlines(keepends=True)
        cell["source"] = [link + MARK + "\n" if MARK in line else line for line in cell["source"]]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """See the module's docstring; returns the exit code."""
    check = "--check" in arguments
    given = [argument for argument in arguments if argument and argument != "--check"]
    settings = ROOT / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    if ADDRESS.search(text) is None:
        raise SystemExit('expected [tool.facekit] with repository = "…" in pyproject.toml, got none; add both lines')
    if given:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", given[0]):
            raise SystemExit(f"expected owner/name, got {given[0]!r}; run make notebooks REPOSITORY=owner/name")
        text = ADDRESS.sub(rf'\g<1>"{given[0]}"', text)
        if not check:
            settings.write_text(text, encoding="utf-8")
    repository = ADDRESS.search(text).group(2)
    different = []
    for path in sorted(FOLDER.glob("[0-9]*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = stamped(before, path.name, repository, requirements())
        if after != before:
            different.append(path.name)
            if not check:
                path.write_text(after, encoding="utf-8")
    print(f"{'differ' if check else 'stamped'}: {', '.join(different) or 'none'}")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
