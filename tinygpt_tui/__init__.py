"""The terminal: tabs to train small GPTs, talk to them, and look inside."""
