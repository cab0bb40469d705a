"""Imports of contacts from CSV files: resumable, repeatable, with a reason for every row that is refused."""
