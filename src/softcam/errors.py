"""The errors that users see: one sentence each, naming what is wrong and what to do."""

from __future__ import annotations


class SoftcamError(Exception):
    """Base of every error that softcam raises on purpose."""


class InputError(SoftcamError, ValueError):
    """Something that the user gave (a file, a row, an argument) cannot be used."""


class WorkError(SoftcamError):
    """The input was fine and the work failed all the same."""


class ModelFileError(InputError):
    """A model file is damaged, foreign, newer than this library, or not to be trusted."""


class MissingExtraError(SoftcamError, ImportError):
    """An optional feature is not installed; the message names its install command."""
