"""Architectures as data: the protobuf schema, reading and writing, the canonical form, the search space. Does not import TensorFlow."""

from nasnet_tf.genotype.genotype_pb2 import Block, Branch, Cell, Combine, Genotype, Operation, Output
from nasnet_tf.genotype.hashing import HASH_VERSION, canonical, genotype_hash, genotype_hashes
from nasnet_tf.genotype.search_space import SearchSpace
from nasnet_tf.genotype.spec import format_genotype, load_genotype, parse_genotype, published_genotypes, validate

__all__ = [
    "HASH_VERSION",
    "Block",
    "Branch",
    "Cell",
    "Combine",
    "Genotype",
    "Operation",
    "Output",
    "SearchSpace",
    "canonical",
    "format_genotype",
    "genotype_hash",
    "genotype_hashes",
    "load_genotype",
    "parse_genotype",
    "published_genotypes",
    "validate",
]
