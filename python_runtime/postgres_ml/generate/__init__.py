"""Scoring programs as the bodies of functions."""

from postgres_ml.generate.functions import GeneratedFunctions, create_statement
from postgres_ml.generate.native import generate_native
from postgres_ml.generate.python import generate_python
from postgres_ml.generate.sql.generate import generate_sql

__all__ = ["GeneratedFunctions", "create_statement", "generate_native", "generate_python", "generate_sql"]
