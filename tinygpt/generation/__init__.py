"""Text from a model: the settings, the filters, and three ways to compute the next logits."""
