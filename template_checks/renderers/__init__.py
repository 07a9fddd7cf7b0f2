"""Adapters to real systems, one module or package a system; their protocol and registry."""
