"""Loads networks by name or path, exports them in several formats, and converts their weights."""
