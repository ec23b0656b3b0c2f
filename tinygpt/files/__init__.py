"""Files that appear whole, and files of strangers opened within limits."""
