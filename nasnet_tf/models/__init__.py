"""From a genotype to a network: the cell interpreter, stems, heads, the named variants and their costs."""
