"""Models that answer over HTTP, as functions: `functions` writes them, `client` and `sigv4` run there.

Standard library only: the sources of `client` and `sigv4` stand in the functions' bodies.
"""
