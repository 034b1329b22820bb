"""``facekit doctor``: what is installed here, and how to install what is not."""

from __future__ import annotations

import argparse

SUMMARY = "versions, devices, optional packages and how to install them"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Leave the parser as it is: the command takes no options of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 1 where something that facekit needs is broken."""
    from facekit.doctor import diagnose

    report = diagnose()
    print(report)
    return 0 if report.healthy else 1
