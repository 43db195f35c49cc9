"""The versions that the database's catalog keeps of each model."""
