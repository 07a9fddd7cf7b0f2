"""XTuner's prompt templates: what its training encoder does with a conversation."""
