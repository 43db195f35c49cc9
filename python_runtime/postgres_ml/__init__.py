"""Train, track, compile and publish machine-learning models as Postgres functions.

Read `pipeline` first: it is the whole flow. Importing this package imports none of the heavy libraries.
"""
