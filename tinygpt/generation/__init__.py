"""Text from a model: sampling parameters, logits filters, the decoding loop.

The next logits come from `GPT.run` or, faster for a single text, from `numpy_decoder` on a CPU and
`cuda_graph_decoder` on a GPU; `decoding` chooses.
"""
