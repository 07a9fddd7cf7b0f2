"""Draws conversations, runs checks over them, shrinks and keeps what they find."""
