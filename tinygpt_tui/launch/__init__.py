"""Starting a trainer from the app, and the cost of training."""
