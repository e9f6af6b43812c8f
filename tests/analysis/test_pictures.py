import re

from star_core.analysis.charts import Dot, Mark, class_mix, course, scatter, sharing
from star_core.analysis.colours import DARK_RAMP, LIGHT_RAMP, ramp
from star_core.analysis.motifs import Motifs, class_order
from star_core.analysis.strips import strip
from star_core.compiler import compile_genome
from star_core.genome import Genome
from tests.analysis.runs import PAPER


def spec(text):
    return compile_genome(Genome.parse(text), PAPER, 32)


def test_a_strip_has_a_cell_per_liv_and_an_arc_per_link():
    drawn = strip(spec("21211-31112-21211-31112"), "one")
    assert drawn.count("<rect") == 4
    assert drawn.count('class="arc"') == 2
    assert "featurizer weights of LIV 1 used by LIV 3: C B V" in drawn
    assert "computed features of LIV 2 used by LIV 4: B V" in drawn


def test_differential_cells_are_hatched_and_deep_strips_use_short_names():
    assert strip(spec("e1111-51111"), "one").count('class="hatch"') == 1
    deep = strip(spec("-".join(["e1111", "91111"] * 20)), "deep")
    assert ">R1d<" in deep
    assert "Rec-1-Diff</text>" not in deep


def test_class_mix_of_one_generation_fills_the_frame():
    architectures = [spec("31111-91111")]
    motifs = [Motifs.of(architectures)]
    drawn = class_mix(motifs, class_order(architectures), [0])
    assert drawn.count("<polygon") == 2
    assert "SA-3 50 %" in drawn
    assert "weights 0 %" in sharing(motifs, [0])


def test_outliers_stay_at_the_upper_edge():
    dots = [Dot(f"d{k}", 100.0 + k, 4.0 + k / 100, 0, k == 0) for k in range(20)]
    dots.append(Dot("far", 105.0, 1e6, 0, False))
    drawn = scatter(
        dots,
        [Mark("Transformer++", 110.0, 4.1, "diamond")],
        x_name="parameters",
        x_title="parameters",
        y_name="perplexity",
        y_title="perplexity",
    )
    assert drawn.count("<circle") == 20
    assert "<title>far</title>" in drawn
    heights = [float(value) for value in re.findall(r'cy="([\d.]+)"', drawn)]
    assert max(heights) - min(heights) > 200


def test_a_course_of_one_point_is_drawn():
    drawn = course([(0.0, 0.5, 0.5)], x_title="generation", reference=("baselines together", 0.4))
    assert "baselines together" in drawn
    assert drawn.count("<circle") == 1


def test_ramps_run_from_first_to_last_stop():
    for stops in (LIGHT_RAMP, DARK_RAMP):
        colours = ramp(stops, 7)
        assert (colours[0], colours[-1], len(set(colours))) == (stops[0], stops[-1], 7)
        assert ramp(stops, 1) == [stops[-1]]
