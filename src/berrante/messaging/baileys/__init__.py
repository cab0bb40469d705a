"""Numbers on Baileys: what the sidecar keeps of each, which only it reads and writes, and who is a stranger to one."""
