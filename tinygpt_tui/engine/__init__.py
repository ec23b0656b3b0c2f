"""Everything that needs torch, in a separate process: the app sends requests, the engine replies.

`protocol` defines the messages, `worker` is the process, `client` the app's end of the pipe,
`results` the replies as the tabs use them, and `session` the requests and cached replies of a tab.
"""
