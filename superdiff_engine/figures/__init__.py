"""Runs on paper: curves and samples as pictures for slides and documents, drawn without a browser."""
