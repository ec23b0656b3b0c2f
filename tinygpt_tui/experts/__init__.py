"""The Experts tab: where the router of the MoE sends each token, layer by layer."""
