"""What other tools read: a model for Hugging Face's transformers, and metrics as CSV."""
