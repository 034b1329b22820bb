"""Order and grouping of the tests for several workers: the longest first, so that none ends long after the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Tests that share nothing with others of their file and take long: any worker may take one alone.
ALONE = (
    "tests/test_notebooks.py::test_runs_from_top_to_bottom",
    "tests/test_docs.py::test_python_runs",
    "tests/test_docs.py::test_the_site_builds",
)

#: The longest, the longest first (15 s and more); the rest follows in pytest's own order.
LONGEST = (
    "tests/e2e/test_lab.py",
    "tests/train/test_run.py",
    *ALONE,
    "tests/app/test_page.py",
    "tests/reconstruct/test_api.py",
    "tests/convert/test_published.py",
    "tests/test_readme.py",
    "tests/test_published.py",
    "tests/reconstruct/clip/test_clip.py",
    "tests/cli/test_streams.py",
    "tests/generate/test_job.py",
    "tests/viz/viewer/test_page.py",
    "tests/reconstruct/texture/test_compose.py",
    "tests/cli/test_main.py",
    "tests/generate/test_cluster.py",
    "tests/test_wheel.py",
    "tests/viz/viewer/test_rig.py",
    "tests/test_decoder.py",
    "tests/reconstruct/texture/test_segment.py",
    "tests/cli/test_reconstruct.py",
    "tests/reconstruct/test_fit.py",
    "tests/viz/viewer/test_widget.py",
    "tests/models/test_detail_layer.py",
    "tests/viz/viewer/test_axe.py",
    "tests/generate/test_sample.py",
    "tests/train/scans/test_scans.py",
    "tests/models/test_blendshapes.py",
    "tests/compare/test_presets.py",
    "tests/e2e/test_pages.py",
    "tests/test_forks.py",
    "tests/test_pipeline.py",
)


def unit(nodeid: str) -> str:
    """Return the name of what a test is handed out with: itself, or its file, for what the file's tests share."""
    return nodeid if nodeid.startswith(ALONE) else nodeid.split("::", 1)[0]


def rank(nodeid: str) -> int:
    """Return the place of a test in the order in which tests are handed out."""
    return next((k for k, start in enumerate(LONGEST) if nodeid.startswith(start)), len(LONGEST))


def scheduler(config: Any, log: Any) -> Any:
    """Make pytest-xdist's scheduler by files, which follows :func:`unit` and the tests' own order."""
    from xdist.scheduler import LoadFileScheduling

    made = LoadFileScheduling(config, log)
    config.option.loadscopereorder = False  # by the number of tests, which says little about their length
    split: Callable[[str], str] = unit
    made._split_scope = split
    return made
