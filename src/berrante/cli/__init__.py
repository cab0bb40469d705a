"""The command ``berrante``: thin commands over the composition root, one module per group."""

from berrante.cli.root import app, main

__all__ = ["app", "main"]
