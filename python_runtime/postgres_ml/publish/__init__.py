"""From a fitted pipeline to functions: which runtime, and what the server must have for it."""
