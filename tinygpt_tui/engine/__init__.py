"""Everything that needs torch, in a process of its own: the interface asks, the engine answers.

`protocol` defines the messages, `worker` is the process, `client` the app's end of the pipe,
`session` what each tab keeps of its questions and answers.
"""
