"""Every operator genome there is, and every way to compute one feature group of it."""

from itertools import product

from star_core.errors import GenomeError
from star_core.structures.registered import featurizer_of, featurizer_table, structure_of, structures
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import FEATURIZER_GENES, OPERATOR_GENES, write_allele


def is_admitted(operator, featurizer):
    try:
        structure_of(operator.token_mixing).check(operator, featurizer)
    except GenomeError:
        return False
    return True


def operators():
    """All operator genomes, valid or not."""
    ranges = [range(gene.low, gene.high + 1) for gene in OPERATOR_GENES[2:]]
    tokens = [structure.allele for structure in structures()]
    for alleles in product(featurizer_table(), tokens, *ranges):
        yield OperatorGenome.parse("".join(map(write_allele, alleles)))


def feature_groups(largest=3):
    """All genomes of one feature group with expansion and repeat factors up to ``largest``."""
    ranges = [range(gene.low, min(gene.high, 5) + 1) for gene in FEATURIZER_GENES[:4]]
    for alleles in product(*ranges, range(1, largest + 1), range(1, largest + 1)):
        yield FeatureGroupGenome.parse("".join(map(str, alleles)))


def valid_operators():
    """Operator genomes that their structure admits with the featurizer they name."""
    for operator in operators():
        featurizer = featurizer_of(operator.featurizer)
        if is_admitted(operator, featurizer):
            yield LIVClass(str(operator), operator, featurizer, False)


def neighbours(liv_class):
    """Valid classes that compute one of its feature groups in another way."""
    featurizer = liv_class.featurizer
    for index, group in product(range(len(featurizer.groups)), feature_groups()):
        groups = (*featurizer.groups[:index], group, *featurizer.groups[index + 1 :])
        other = FeaturizerGenome(featurizer.roles, groups)
        if other != featurizer and is_admitted(liv_class.operator, other):
            yield LIVClass(f"{liv_class.operator} {other}", liv_class.operator, other, False)
