"""What the source of a Web UI script says: builder, history, stops, settings."""
