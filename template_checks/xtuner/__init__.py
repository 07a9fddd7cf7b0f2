"""Reading XTuner's templates and configs, and encoding as XTuner does, without importing it."""
