"""How each domain's samples are shown."""
