"""Writes into the notebooks what all of them share: badge and setup cell; makes the Korean twins; strips outputs.

The address stands in one place, ``[tool.facekit] repository`` of pyproject.toml, and is empty until there is one::

    python notebooks/stamp.py owner/name      set the address, stamp the notebooks
    python notebooks/stamp.py                 stamp them with the address that is set
    python notebooks/stamp.py --check         exit code 1 if any of them is not stamped so
    python notebooks/stamp.py --translated    the Korean prose fits the English of today; then stamp

The setup cell is ``setup_cell.py``. A Korean twin ``ko/NAME.ipynb`` has the code of ``NAME.ipynb`` and the prose
of ``ko/NAME.md``, a section a cell under ``<!-- cell id, digest of the English prose -->``. Where the English has
changed since it was translated, stamping says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
ADDRESS = re.compile(r'(?m)^(\[tool\.facekit\]\nrepository = )"(.*)"$')
MARK = "<!-- badge -->"  # at the end of its line: what follows a comment would not be read as Markdown
SECTION = re.compile(r"(?m)^<!-- (?P<cell>[\w-]+), (?P<digest>\w+) -->\n")

BADGE = "[![{}](https://colab.research.google.com/assets/colab-badge.svg)]({}) "
COLAB = "https://colab.research.google.com/github/{}/blob/main/notebooks/{}"
# Until there is an address the badge leads to Colab's own upload page.
UPLOAD = "https://colab.research.google.com/#upload=true"
WORDS = {
    "en": ("Open in Colab", "*Upload this notebook; its first cell then asks for facekit's wheel.* "),
    "ko": ("Colab에서 열기", "*이 노트북을 업로드하세요. 첫 번째 셀을 실행하면 facekit의 wheel 파일을 요청합니다.* "),
}
# Folded in Colab and in JupyterLab: nobody has to read it.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}


def setup_cell(repository: str) -> str:
    """The first code cell, with the address and with what Colab lacks by requirements-colab.txt."""
    lines = (ROOT / "requirements-colab.txt").read_text(encoding="utf-8").splitlines()
    needs = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    text = (FOLDER / "setup_cell.py").read_text(encoding="utf-8").rstrip("\n")
    blank = 'REPOSITORY, NEEDS = "", []'
    if blank not in text:
        raise SystemExit(f"expected the line {blank} in setup_cell.py, got none; stamping fills it in")
    return text.replace(blank, f"REPOSITORY, NEEDS = {json.dumps(repository)}, {json.dumps(needs)}")


def stamped(text: str, name: str, repository: str, language: str = "en") -> str:
    """The notebook's text as it should be."""
    notebook = json.loads(text)
    words, upload = WORDS[language]
    link = BADGE.format(words, COLAB.format(repository, name) if repository else UPLOAD)
    link += "" if repository else upload
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"], cell["metadata"] = [], None, {}
        if cell["id"] == "setup":
            cell["metadata"], cell["source"] = FOLDED, setup_cell(repository).splitlines(keepends=True)
        cell["source"] = [link + MARK + "\n" if MARK in line else line for line in cell["source"]]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def digest(cell: dict) -> str:
    """Short digest of a cell's prose; the badge is none."""
    prose = "".join(line for line in cell["source"] if MARK not in line)
    return hashlib.sha256(prose.encode()).hexdigest()[:8]


def translated(text: str, table: Path, accept: bool) -> str:
    """The notebook with the prose of a table; ``accept`` writes the digests of today's English into it."""
    notebook, prose = json.loads(text), table.read_text(encoding="utf-8")
    parts = SECTION.split(prose)
    sections = {parts[k]: (parts[k + 1], parts[k + 2].strip("\n")) for k in range(1, len(parts), 3)}
    cells = {cell["id"]: cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"}
    if cells.keys() != sections.keys():
        odd = ", ".join(sorted(cells.keys() ^ sections.keys()))
        raise SystemExit(f"expected one section a cell of prose in {table.name}, got others: {odd}; add or drop them")
    stale = [name for name, cell in cells.items() if digest(cell) != sections[name][0]]
    if stale and not accept:
        remedy = "translate it and run make notebooks-translated"
        raise SystemExit(f"expected {table.name} to fit the English prose, got changes in {', '.join(stale)}; {remedy}")
    for name, cell in cells.items():
        cell["source"] = sections[name][1].splitlines(keepends=True)
    if stale:
        new = [f"<!-- {name}, {digest(cell)} -->\n{sections[name][1]}\n" for name, cell in _markdown(text)]
        table.write_text(parts[0] + "\n".join(new), encoding="utf-8")
    return json.dumps(notebook)


def _markdown(text: str) -> list[tuple[str, dict]]:
    return [(cell["id"], cell) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]


def main(arguments: list[str]) -> int:
    """See the module's docstring; returns the exit code."""
    check = "--check" in arguments
    given = [argument for argument in arguments if argument and not argument.startswith("--")]
    repository = _address(given[0] if given else None, write=not check)
    wanted: dict[Path, str] = {}
    for path in sorted(FOLDER.glob("[0-9]*.ipynb")):
        text = path.read_text(encoding="utf-8")
        wanted[path] = stamped(text, path.name, repository)
        table = FOLDER / "ko" / f"{path.stem}.md"
        if table.is_file():
            twin = translated(text, table, accept="--translated" in arguments)
            wanted[table.with_suffix(".ipynb")] = stamped(twin, f"ko/{path.name}", repository, "ko")
    different = [p for p, text in wanted.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    if not check:
        for path in different:
            path.write_text(wanted[path], encoding="utf-8")
    names = ", ".join(path.relative_to(FOLDER).as_posix() for path in different)
    print(f"{'differ' if check else 'stamped'}: {names or 'none'}")
    return 1 if check and different else 0


def _address(given: str | None, write: bool) -> str:
    """The repository's address: the one given, which is written down, or the one that is set."""
    settings = ROOT / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    found = ADDRESS.search(text)
    if found is None:
        raise SystemExit('expected [tool.facekit] with repository = "…" in pyproject.toml, got none; add both lines')
    if given is None:
        return found.group(2)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", given):
        raise SystemExit(f"expected owner/name, got {given!r}; run make notebooks REPOSITORY=owner/name")
    if write:
        settings.write_text(ADDRESS.sub(rf'\g<1>"{given}"', text), encoding="utf-8")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
