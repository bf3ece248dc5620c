"""What a component may see of a turn: history, passages, evidence."""
