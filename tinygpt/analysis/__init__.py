"""Looking inside a model: attention, head statistics, routing, over one text or a corpus.

`inspection` runs one text through a model, `survey` a sample of a corpus; `heads`, `routing` and
`attention_maps` compute statistics of the results, and `export` writes them to files. The last
three need only NumPy, so the interface imports them without torch.
"""
