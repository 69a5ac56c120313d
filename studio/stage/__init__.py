"""The right side of the page: what runs, what has run, and what to do with it."""
