"""The same cache, loopback server and small model as the tests of :mod:`facekit.convert` have."""

from tests.convert.conftest import cache, server, small  # noqa: F401
