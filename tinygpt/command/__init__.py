"""The command line of a training: options from the dataclasses, signals, progress, closing table.

``python trainer.py …`` and ``tinygpt-tui --train-only …`` run this package; how models learn is in
`tinygpt.training`. The only part of the core that prints, parses arguments and imports rich.
"""
