"""Views of a record. No view computes anything."""
