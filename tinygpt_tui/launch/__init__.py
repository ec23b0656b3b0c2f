"""Start a trainer from the app, and say beforehand what it will take."""
