"""Tables of results: their JSON, the samples that they are made from, and their Markdown."""
