"""Everything that takes torch, in a process of its own: the interface asks, and is answered.

`protocol` is what goes over the pipe, `worker` the process, `client` the end that the app holds.
"""
