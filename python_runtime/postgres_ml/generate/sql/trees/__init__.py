"""Tree ensembles as nested CASE."""
