"""The terminal interface: train, sample and inspect small GPTs."""
