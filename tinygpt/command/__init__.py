"""Training from the command line: options from the dataclasses, signals, progress, final table.

``python trainer.py …`` and ``tinygpt-tui --train-only …`` run this package; how models learn is in
`tinygpt.training`. This is the only part of the core that prints, parses arguments and imports
rich.
"""
