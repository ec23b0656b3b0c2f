"""The Generate tab: prompts, decoding settings, and a look at what each token was chosen from."""
