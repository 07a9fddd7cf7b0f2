"""Where and why two renderings of one conversation part."""
