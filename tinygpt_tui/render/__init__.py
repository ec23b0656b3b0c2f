"""Pure functions from numbers to rows of cells. No torch, no textual: a row is text with styles."""
