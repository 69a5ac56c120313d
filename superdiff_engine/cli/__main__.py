"""`python -m superdiff_engine.cli`, where the command `superdiff` is not on the path."""

from .app import main

main()
