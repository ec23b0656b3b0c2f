"""The Attention tab: where each head looks, from all heads at once down to a character."""
