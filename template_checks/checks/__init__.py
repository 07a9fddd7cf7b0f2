"""Checks: named properties over renderings, one module a family; what they look at, and what they return."""
