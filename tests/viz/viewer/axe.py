"""axe-core, a checker for accessibility without sight, mouse or full colour vision."""

from __future__ import annotations

from typing import Any

import pytest

from tests import ROOT

SOURCE = ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Any) -> list[str]:
    """Return violations of axe's rules in a page of playwright's and its frames, one line each.

    Skips the test where axe-core was not installed (``make viewer``, or ``npm ci`` in viewer/).
    """
    if not SOURCE.is_file():
        pytest.skip("axe-core is not installed: npm ci in viewer/")
    found = []
    for frame in page.frames:
        frame.evaluate(SOURCE.read_text(encoding="utf-8"))
        result = frame.evaluate("axe.run({ iframes: false })")
        for broken in result["violations"]:
            places = "; ".join(" ".join(map(str, node["target"])) for node in broken["nodes"])
            found.append(f"{broken['id']} ({broken['impact']}): {broken['help']}: {places}")
    return found
