"""What Hypothesis draws: contents, conversations, tools."""
