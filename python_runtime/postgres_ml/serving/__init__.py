"""A folder of release 0.1.0: only the names that its pickles and MLflow models use are left."""
