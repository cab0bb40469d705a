"""Alembic's environment, and one explicit file per change of the tables."""
