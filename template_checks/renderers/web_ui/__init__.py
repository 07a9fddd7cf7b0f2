"""Web UI scripts: how they build their prompt, found in their source and run apart from the app."""
