"""The check inside the database: rows with the pipeline's own predictions, and the comparison."""
