"""Estimators and transformers of our own: what travels inside a pickle, to servers that lack this package."""
