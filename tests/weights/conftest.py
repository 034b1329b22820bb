"""Fixtures of the tests of :mod:`facekit.convert`: cache, loopback server and small model."""

from tests.convert.conftest import cache, server, small  # noqa: F401
