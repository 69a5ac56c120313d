"""Work on recipes: a run, a grid of runs, given samples, and their records on disk."""
