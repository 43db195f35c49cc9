"""The language plmodel on the tests' server."""

from native_support import native, plmodel, server

__all__ = ["native", "plmodel", "server"]
