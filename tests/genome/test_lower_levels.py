"""Which operator and featurizer genomes are valid, by the rules alone and written out once more."""

from star_core.errors import GenomeError
from star_core.structures.registered import featurizer_of, structure_of
from star_core.vocabulary.featurizer import FeaturizerGenome
from tests.genome.lower_levels import feature_groups, is_admitted, operators


def should_be_valid(operator):
    featurizer, token, sparsity, nonlinearity, channel = (int(c, 36) for c in str(operator))
    roles = " ".join(featurizer_of(featurizer).roles)
    if token == 1:
        return roles == "C V" and sparsity == 1 and nonlinearity != 2
    if token == 2:
        repeated = featurizer in (3, 4, 11)
        return roles == "C B V" and (channel == 3 or (channel == 2 and not repeated))
    if token == 3:
        implicit = featurizer == 8
        plain = (sparsity, nonlinearity) == (1, 1)
        return roles == "C B V K" and plain and (channel == 1 or not implicit)
    return roles == "C B V A" and (sparsity, nonlinearity, channel) == (1, 1, 1)


def test_every_operator_genome_is_valid_or_refused_with_rule_place_and_fix():
    valid = 0
    for operator in operators():
        structure, featurizer = (
            structure_of(operator.token_mixing),
            featurizer_of(operator.featurizer),
        )
        try:
            structure.check(operator, featurizer)
            valid += 1
            assert should_be_valid(operator), operator
        except GenomeError as error:
            assert not should_be_valid(operator), operator
            assert error.rule
            assert str(operator) in error.place
            assert error.fix
    assert valid == 9 + 3 * 16 + 3 * 8 + 4 + 2


def test_feature_groups_of_every_role_are_valid_or_refused_with_the_rule():
    for operator in list(filter(should_be_valid, operators()))[::5]:
        base = featurizer_of(operator.featurizer)
        for index, role in enumerate(base.roles):
            for group in feature_groups():
                groups = (*base.groups[:index], group, *base.groups[index + 1 :])
                assert is_admitted(operator, FeaturizerGenome(base.roles, groups)) == should_fit(
                    operator, role, group, base
                ), (operator, role, group)


def should_fit(operator, role, group, base):
    token, sparsity, nonlinearity, channel, expansion, repeat = (int(c, 36) for c in str(group))
    operator_token, operator_channel = int(str(operator)[1]), int(str(operator)[4])
    if nonlinearity == 2 or (nonlinearity == 5 and role == "A"):
        return False
    if role == "K":
        made_so = (token, nonlinearity, channel, repeat) == (3, 1, 1, 1)
        return made_so and (operator_channel == 1 or sparsity == 2)
    if (token, sparsity) not in ((1, 1), (3, 2)):
        return False
    per_channel = role != "A" and not (operator_token == 4 and role in "CB")
    if channel == 1 and not (per_channel and repeat == 1):
        return False
    partner = {1: {"C": "V", "V": "C"}, 2: {"C": "B", "B": "C"}, 3: {}, 4: {"C": "B", "B": "C"}}
    other = partner[operator_token].get(role)
    if other and base.groups[base.roles.index(other)].expansion != expansion:
        return False
    if operator_token == 1:
        return repeat == 1
    if operator_token == 2 and operator_channel == 2:
        return repeat == 1
    if operator_token == 3 or (operator_token == 4 and role in "VA"):
        return (expansion, repeat) == (1, 1)
    return True
