"""template-checks.toml: its schema, and the targets that are built from it."""
