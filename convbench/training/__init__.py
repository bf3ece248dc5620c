"""Joint fine-tuning of one model for retrieval and response."""
