"""The record of a run: typed lines, how they are written and read, what they come to, what is done with them."""
