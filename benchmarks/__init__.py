"""How fast the engine is, and how fast others are on the same server."""
