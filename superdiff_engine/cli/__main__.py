"""`python -m superdiff_engine.cli`, where the command `superdiff` is not on the path."""

from ..system import interrupts

interrupts.catch_signals()  # before what takes time to import

from .app import main  # noqa: E402

main()
