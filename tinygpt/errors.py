"""What a user can cause: each message names the flag, file or key, and what would be right."""


class TinyGPTError(ValueError):
    """Base of every error that a user's input, file or configuration can cause."""


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
