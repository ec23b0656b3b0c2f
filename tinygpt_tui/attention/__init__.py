"""The Attention tab: attention weights from all heads at once down to a single token."""
