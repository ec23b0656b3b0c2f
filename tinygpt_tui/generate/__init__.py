"""The Generate tab: prompts, decoding settings, and the distribution behind every token."""
