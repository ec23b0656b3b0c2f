"""Looking inside a model: attention, heads, experts, over one text or a whole corpus."""
