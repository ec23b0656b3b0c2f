"""From a text to batches: find a corpus, tokenize it, draw the windows of each step."""
