"""Text from a model: sampling parameters, logits filters, the decoding loop, fast decoders."""
