"""One module per tracker, called like the package that it needs and like its extra. Its class `Run`
is a `tinygpt.tracking.protocol.Tracker`; nothing else has to know of it but pyproject.toml."""
