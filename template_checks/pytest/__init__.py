"""The pytest plug-in: collects template-checks.toml."""
