"""Long lists of names, written as text: a tuple would take a line for each name."""


def split_names(text: str) -> tuple[str, ...]:
    """The names in a text, which white space separates."""
    return tuple(text.split())
