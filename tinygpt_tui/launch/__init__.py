"""Start a trainer from the app, and tell what training will cost."""
