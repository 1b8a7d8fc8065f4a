"""Sealed items in causal order: push, pull, status."""
