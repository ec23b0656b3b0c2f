"""The model: a decoder-only Transformer, the mixture-of-experts layer, and the KV cache."""
