"""Echolia's server: sealed sync for a local-first journal."""

__version__ = "0.1.0"
