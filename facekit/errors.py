"""Exceptions of facekit: each says what was expected, what was given, and how to fix it."""

from __future__ import annotations

from facekit.install import install_line


class FacekitError(Exception):
    """Base class: bad input or a broken environment, explained in one line.

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
        # Exceptions are pickled by their message alone; all three parts must survive for worker processes.
        return type(self), (self.expected, self.got, self.remedy)


class InputError(FacekitError, ValueError):
    """Argument with a wrong value, shape, dtype or name."""


class FileError(FacekitError, OSError):
    """File or folder that is missing, foreign, damaged or cannot be written."""


class WeightsError(FacekitError, RuntimeError):
    """Weight file that is truncated, foreign, or does not match the network."""


class MissingDependencyError(FacekitError, ImportError):
    """Missing optional package."""


#: Errors of one item of many, which may be passed over; a missing package would fail all of them.
ITEM_ERRORS = (FileError, InputError)


def optional_import(module: str, extra: str, purpose: str):
    """Import an optional package, or raise an error with the install command for this kind of installation.

    Parameters
    ----------
    module:
        Dotted module name, for instance ``"plotly.graph_objects"``.
    extra:
        The extra of facekit that includes it, for instance ``"notebook"``.
    purpose:
        Its purpose, for the message: ``"the slider widget"``.
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
