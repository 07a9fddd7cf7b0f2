"""What everything is made of: conversations, renderings, tokenizers, causes, errors. Imports no other package here."""
