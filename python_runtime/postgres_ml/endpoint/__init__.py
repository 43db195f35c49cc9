"""Models that answer over HTTP, as functions: `functions` writes them, all others run there.

Standard library only: the sources of `client`, `messages` and `sigv4` stand in the functions' bodies.
"""
