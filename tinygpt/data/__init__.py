"""From a text to batches: where it comes from, how it becomes ids, which ones a step sees."""
