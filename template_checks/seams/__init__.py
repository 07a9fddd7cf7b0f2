"""Seams of renderers that tokenize in pieces, and every token that can merge across them."""
