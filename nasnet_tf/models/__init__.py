"""Builds networks from genotypes: the cell interpreter, stems, heads, the named networks and their costs."""
