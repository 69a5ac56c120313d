"""The Library page: a gallery of all runs, what is asked of it, one entry, and several at once."""
