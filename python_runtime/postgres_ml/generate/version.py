"""Version of the generators, which stands in the text of every function.

It tells which functions of a database were written by an older package. Raise it with every change of the
text that is generated for the same program; tests/golden holds the text of each version by its digest.
"""

GENERATOR_VERSION = 5
