"""Writing texts with language models: how next tokens are chosen, how likely a text is, and one protocol over local models and servers."""
