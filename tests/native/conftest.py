"""The language plmodel on the tests' server."""

from support.native_server import native, plmodel, server

__all__ = ["native", "plmodel", "server"]
