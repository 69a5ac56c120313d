"""Training of the embedded models: the loop, saved weights, packs of prepared data."""
