"""The errors facekit raises: each says what was expected, what came, and what to do about it."""

from __future__ import annotations

from facekit.install import install_line


class FacekitError(Exception):
    """Bad input or a broken environment, told in one line.

    Parameters
    ----------
    expected, got, remedy:
        Sentence fragments without a closing full stop. The message reads
        ``expected <expected>, got <got>; <remedy>``.
    """

    def __init__(self, expected: str, got: str, remedy: str) -> None:
        self.expected, self.got, self.remedy = expected, got, remedy
        super().__init__(f"expected {expected}, got {got}; {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # Exceptions are pickled by their message alone; a worker process must hand all three parts on.
        return type(self), (self.expected, self.got, self.remedy)


class InputError(FacekitError, ValueError):
    """An argument has the wrong value, shape, dtype or name."""


class FileError(FacekitError, OSError):
    """A file or folder is missing, foreign, damaged or cannot be written."""


class WeightsError(FacekitError, RuntimeError):
    """A weight file is truncated, foreign, or does not fit the network."""


class MissingDependencyError(FacekitError, ImportError):
    """An optional package is needed for this and is not installed."""


def optional_import(module: str, extra: str, purpose: str):
    """Import an optional package, or raise the error that carries its install line, which fits how facekit came here.

    Parameters
    ----------
    module:
        Dotted module name, for instance ``"plotly.graph_objects"``.
    extra:
        The extra of facekit that brings it, for instance ``"notebook"``.
    purpose:
        What needs it, for the message: ``"the slider widget"``.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"the package {module.split('.')[0]!r} for {purpose}",
            "an environment without it",
            f"install it with: {install_line(extra)}",
        ) from error
