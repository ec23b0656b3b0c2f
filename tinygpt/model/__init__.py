"""The Transformer, its experts, and what it remembers while decoding."""
