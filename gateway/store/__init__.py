"""The ledger: one schema, one database."""
