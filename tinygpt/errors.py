"""Errors that a user can cause. Messages name the flag, file or setting, and what is valid."""

import errno

from tinygpt.escape import printable

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
"""errno of a full disk, or of a used-up quota."""


def first_line(error: Exception) -> str:
    """The first line of an exception's text; its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class TinyGPTError(ValueError):
    """Base class of all errors that a user's input, files or configuration can cause."""

    def __str__(self) -> str:
        """The message on one line, with control characters of quoted names replaced."""
        return printable(super().__str__())

    @property
    def disk_full(self) -> bool:
        """Whether the cause is a full disk, so that retrying later may succeed."""
        cause = self.__cause__
        return isinstance(cause, OSError) and cause.errno in DISK_FULL_ERRNOS


class ConfigError(TinyGPTError):
    """A setting, value or combination of settings that cannot be used."""


class CorpusError(TinyGPTError):
    """A corpus that cannot be found, read or used for training."""


class TokenizerError(TinyGPTError):
    """Text that the tokenizer cannot encode, or a tokenizer file that cannot be read."""


class CheckpointError(TinyGPTError):
    """A checkpoint that is missing, damaged, or of another model."""


class TinyGPTWarning(UserWarning):
    """What a user should know although the work goes on. Warnings of libraries have other types,
    and are only logged."""


class RunError(TinyGPTError):
    """A run directory that is missing, in use, or unreadable."""
