"""The library: one folder that keeps all runs, and an index of it, which can be made anew from it at any time."""
