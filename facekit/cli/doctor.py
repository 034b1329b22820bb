"""``facekit doctor``: installed packages, and how to install missing ones."""

from __future__ import annotations

import argparse

SUMMARY = "versions, devices, optional packages and how to install them"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 1 if a required part is broken."""
    from facekit.doctor import diagnose

    report = diagnose()
    print(report)
    return 0 if report.healthy else 1
