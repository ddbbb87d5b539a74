"""Keras layers for the operations and reductions inside a cell. They do not depend on cells."""
