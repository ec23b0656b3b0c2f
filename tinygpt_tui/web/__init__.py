"""The app on pages of a browser: who may open them, and the server. Needs the extra ``web``."""
