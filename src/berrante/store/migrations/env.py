"""Alembic runs this file for every command: on the connection that ``migrating`` opened, inside its transaction."""

from alembic import context

if hasattr(context, "config"):  # not so when a tool merely imports all modules
    # No target metadata: a migration says every name itself, and stays what it was when today's tables change.
    context.configure(connection=context.config.attributes["connection"], target_metadata=None)
    context.run_migrations()
