"""Trains any keras.Model with a custom loop. Apart from drop path layers, it knows nothing about cells."""
