"""Web UI scripts: how they build their prompt, found in their source and run apart from the app."""


def words(text: str) -> list[str]:
    """Words of a text: for lists that would otherwise take a line each."""
    return text.split()
