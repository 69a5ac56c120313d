"""The recipe: what a run is asked for, as a document, as JSON, as a link. It knows no domain."""
