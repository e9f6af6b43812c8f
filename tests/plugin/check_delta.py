"""What holds where the package is installed; ``tests/test_structure_plugin.py`` installs it and runs this."""

from dataclasses import replace

import numpy as np
import pytest
from star_delta.delta_shapes import DELTA

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.analysis.drawing.colours import PALETTE, family_colours
from star_core.analysis.drawing.strips import strip
from star_core.analysis.motifs.encoding import Encoding
from star_core.analysis.motifs.motifs import class_order, short_name
from star_core.analysis.motifs.occurrences import Codebook, Motif, motifs_of
from star_core.analysis.run.outcomes import general_rule
from star_core.config import Params, Training
from star_core.errors import ConfigError, GenomeError
from star_core.evolution.predictor import features
from star_core.genome.class_genome import ClassGenes, class_text
from star_core.genome.class_names import is_named, name_pattern
from star_core.genome.founding import sampled_class
from star_core.genome.space import PRESETS, reading_space
from star_core.planning.pace import Load
from star_core.structures import class_table, register, structures
from star_core.structures.registered import families
from tests.evolution.experiments import evolve, experiment
from tests.genome.contract import assert_repaired, canonical_form
from tests.genome.own_classes import any_vector
from tests.graphs.written import Decoder, decoded, expected, graphs_of, model_at_work, relative_error
from tests.models.language_models import (
    assert_every_parameter_learns,
    assert_forms_agree,
    assert_sizes_as_predicted,
    compiled,
    double,
    tokens,
)

ADMITTED = SearchSpace.preset("full", 5, classes=4, novelty=1.0, structures=["delta"])
GENES = ClassGenes(ADMITTED.structures)
DELTA_GENES = ClassGenes((DELTA.allele,))
STACK = "z1112-91111-z1112-31111-z2111-z2111"


def invented(count, seed=0):
    """Classes of the structure that no table names."""
    rng = np.random.default_rng(seed)
    return [sampled_class(DELTA_GENES, rng) for _ in range(count)]


def test_it_stands_beside_the_others():
    assert [structure.name for structure in structures()][-1] == "delta"
    assert [family.name for family in families()][-1] == "delta rule"
    assert class_table()[35].name == "Delta-1"


def test_presets_keep_their_classes_and_admit_it_only_where_it_is_named():
    for name, (_, numbers) in PRESETS.items():
        assert tuple(SearchSpace.preset(name).classes) == numbers
        assert tuple(SearchSpace.preset(name, structures=["delta"]).classes) == (*numbers, 35)
    with pytest.raises(ConfigError, match=r"space.structures: 'delt': no such structure.*mean 'delta'"):
        SearchSpace.preset("full", structures=["delt"])


def test_what_a_run_admits_is_part_of_its_identity():
    plain, added = Params(), Params.model_validate({"space": {"structures": ["delta"]}})
    assert "structures" not in plain.identity()["space"]
    assert added.identity()["space"]["structures"] == ["delta"]
    assert plain.digest != added.digest


def test_an_architecture_says_which_structure_it_has_and_in_which_version():
    text = Genome.parse("z1111")
    digest = compile_genome(text, reading_space(), 64).digest
    assert DELTA.identity == " delta 1"
    assert digest != compile_genome(Genome.parse("51111"), reading_space(), 64).digest
    with pytest.raises(GenomeError, match="not an LIV class of the space 'paper'"):
        compile_genome(text, SearchSpace.preset("paper"), 64)


def test_full_samples_repairs_and_varies_its_classes():
    rng, met = np.random.default_rng(0), set()
    for _ in range(60):
        genome = ADMITTED.sample(rng)
        ADMITTED.validate(genome)
        vector = ADMITTED.layout.encode(genome)
        assert len(vector) == 5 * 5 + 4 * (4 + 6 * 6) == ADMITTED.layout.size
        assert ADMITTED.layout.decode(vector) == genome == Genome.parse(str(genome))
        met |= {entry.operator.token_mixing for entry in genome.table}
        canonical_form(ADMITTED, genome)
    assert met == {1, 2, 3, 4, 35}
    for _ in range(60):
        vector = any_vector(ADMITTED, rng)
        tokens_at = ADMITTED.layout.backbone + np.arange(4) * ADMITTED.layout.genes.size
        vector[tokens_at] = rng.choice(GENES.structures, size=4)
        repaired, _ = ADMITTED.repair(ADMITTED.layout.decode(vector), rng)
        ADMITTED.validate(repaired)
        assert_repaired(ADMITTED, repaired, rng)


def test_a_space_that_does_not_admit_it_refuses_and_mends_its_classes():
    plain = SearchSpace.preset("full", 1, classes=1)
    genome = Genome.parse("11111_zz111")
    problem = next(plain.problems(genome))
    assert problem.position == 5
    assert problem.rule == "the space admits token_mixing in {1, 2, 3, 4}"
    repaired, changes = plain.repair(genome, np.random.default_rng(0))
    plain.validate(repaired)
    assert changes[0].position == 5


def test_invented_classes_have_names_words_and_text_and_work(generator):
    for entry in invented(6):
        assert name_pattern().fullmatch(entry.name)
        assert entry.name.startswith("Delta-0z111.")
        assert not is_named(entry)
        genome = Genome.parse(f"11111-21111_{class_text(entry)}")
        assert Genome.parse(str(genome)) == genome
        arch = compiled(genome, ADMITTED, head_dim=4)
        assert_sizes_as_predicted(build_model(arch))
        assert_every_parameter_learns(build_model(arch), tokens(generator))
        assert_forms_agree(double(arch), tokens(generator, length=14), {"mixed": [0, 9, 0, 3]})
    assert general_rule("Delta-1 cannot reuse these features of SA-1") == (
        "a class cannot reuse these features of another"
    )


def test_a_search_over_all_algorithms_and_screening_makes_valid_offspring():
    space = {"preset": "full", "depth": 4, "classes": 3, "structures": ["delta"]}
    for evolution in (
        {"algorithm": "firefly"},
        {"crossover": "links", "mutation_rate": 0.3},
        {"screening": {"factor": 3, "minimum": 8}, "mutation_rate": 0.3},
    ):
        problem = experiment(space=space, evolution={"population": 10, **evolution})
        for generation in evolve(problem, 3):
            for member in generation.born:
                problem.space.validate(Genome.parse(member.genome))


def test_the_predictor_sees_it_only_where_it_is_admitted():
    arch = compile_genome(Genome.parse(STACK), reading_space(), 64)
    assert len(features(arch, 64, ADMITTED.structures)) == 3 * 5 + 5 * 5 + 4 + 4 + 3
    plain = compile_genome(Genome.parse("11111-91111"), reading_space(), 64)
    assert len(features(plain, 64, SearchSpace.preset("paper").structures)) == 3 * 4 + 4 * 4 + 4 + 4 + 3


def test_the_report_draws_and_names_it():
    arch = compile_genome(Genome.parse(STACK), reading_space(), 64)
    picture = str(strip(arch, "stack"))
    assert picture.count('class="delta-rule"') == 4
    assert [family_colours(family) for family in families() if family.name == "delta rule"] == [PALETTE[4]]
    order = class_order([arch])
    assert [entry.name for entry in order] == ["SA-3", "GMemless", "Delta-1"]
    assert short_name(order[-1]) == "D1"
    encoding = Encoding.of([arch])
    genes = encoding.encode([arch])
    held = motifs_of(encoding, genes)[0]
    link = Motif("link", ("features", "delta rule", "A", "B", "V", "W"))
    assert (held[Motif("family", ("delta rule",))], held[link]) == (4, 1)
    book = Codebook(encoding)
    codes = {int(code) for group, _, found in book.found(genes) if group == "link" for code in found}
    assert book.code(link) in codes


def test_the_plan_counts_its_livs():
    arch = compile_genome(Genome.parse(STACK), reading_space(), 64)
    assert Load.of(arch, Training()).livs == (1, 0, 0, 1, 4)


def test_what_is_taken_is_refused_with_both_owners():
    for change, message in (
        (
            {"allele": 2, "name": "mine"},
            r"2: this token-mixing allele is that of star_core.*low_rank",
        ),
        ({"allele": 34, "name": "low-rank"}, r"'low-rank': this structure's name is that of"),
        ({"allele": 34, "name": "mine", "stems": {"SA": "S"}}, "first word of names of classes is that of"),
    ):
        own = {"featurizers": {}, "classes": {}, "stems": {"Mine": "M"}, "shape": _shape, **change}
        with pytest.raises(ConfigError, match=message) as caught:
            register(replace(DELTA, **own))
        assert caught.value.place == __name__
        assert "Fix: use" in str(caught.value)
    rows = {"featurizers": {1: DELTA.featurizers[35]}, "classes": {}}
    with pytest.raises(ConfigError, match=r"1: this number of a featurizer class is that of .*Fix: use 12"):
        register(replace(DELTA, shape=_shape, allele=34, name="mine", stems={"Mine": "M"}, **rows))


def _shape(role, group, operator, dims):
    return DELTA.shape(role, group, operator, dims)


def test_its_graph_is_its_model():
    model = model_at_work(compiled(STACK, ADMITTED))
    found = np.random.default_rng(0).integers(model.arch.vocab_size, size=140).tolist()
    decoder = Decoder(*graphs_of(model))
    assert relative_error(decoded(decoder, found, [3, 64, 1, 72]), expected(model, found)) < 1e-5
