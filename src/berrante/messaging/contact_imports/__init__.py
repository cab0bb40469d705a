"""Imports of contacts from CSV files: resumable, repeatable, with a reason for every row that is refused."""

from berrante.messaging.contact_imports.service import ContactImport, ContactImports

__all__ = ["ContactImport", "ContactImports"]
