"""Looking inside a model: attention, head statistics, routing, over one text or a corpus."""
