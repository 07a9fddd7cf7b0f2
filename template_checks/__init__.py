"""template-checks: proves that the tokens a chat model was trained on are the tokens it will be served."""

__version__ = "0.1.0"
