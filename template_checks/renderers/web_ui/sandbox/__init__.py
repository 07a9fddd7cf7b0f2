"""Runs a script's prompt builder in a process of its own."""
