"""What the Baileys sidecar keeps of each number; only the sidecar reads and writes it."""
