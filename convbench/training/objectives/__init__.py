"""What a model is tuned for: functions of tensors, one objective a file, no model inside."""
