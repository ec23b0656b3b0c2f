"""What a user can cause: each message names the flag, file or key, and what would be right."""

import errno

from tinygpt.escape import printable

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk and a used-up quota answer."""


class TinyGPTError(ValueError):
    """Base of every error that a user's input, file or configuration can cause."""

    def __str__(self) -> str:
        """One line that every terminal shows as it is, whatever names it quotes."""
        return printable(super().__str__())

    @property
    def disk_full(self) -> bool:
        """Whether a full disk is behind it: it may pass, once somebody makes room."""
        cause = self.__cause__
        return isinstance(cause, OSError) and cause.errno in DISK_FULL_ERRNOS


class ConfigError(TinyGPTError):
    """A value, key or combination of the configuration that cannot be used."""


class CorpusError(TinyGPTError):
    """A corpus that cannot be found, read or trained on."""


class TokenizerError(TinyGPTError):
    """Text that the tokenizer cannot encode, or a tokenizer file that cannot be read."""


class CheckpointError(TinyGPTError):
    """A checkpoint that is missing, torn, or made for another model."""


class RunError(TinyGPTError):
    """A run directory that is missing, in use, or unreadable."""
