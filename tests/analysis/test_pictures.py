import re
from dataclasses import replace

from star_core.analysis.drawing.charts import Dot, Mark, class_mix, course, scatter, sharing
from star_core.analysis.drawing.colours import DARK_RAMP, LIGHT_RAMP, ramp
from star_core.analysis.drawing.motif_charts import distances, spark
from star_core.analysis.drawing.strips import cell_row, strip
from star_core.analysis.motifs.motifs import Motifs, class_order
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


def test_names_that_do_not_fit_a_cell_are_shortened():
    layers = spec("31111-91111").layers
    long = replace(layers[0], liv_class=replace(layers[0].liv_class, name="SA-02143.k3f0"))
    for pitch, shown in ((110, "SA-02143.k3f0"), (60, "S.k3f0"), (20, "S*")):
        drawn = cell_row([long], 0, 0, pitch, 30, labels=True)
        assert f">{shown}</text>" in drawn
        assert "LIV 1: SA-02143.k3f0" in drawn


def test_a_course_in_a_table_ends_with_a_dot():
    drawn = spark([0.0, 0.5, 0.25], "0 → 0.5 → 0.25")
    assert drawn.count("<circle") == 1
    assert "0 → 0.5 → 0.25" in drawn
    assert spark([0.0], "0").count("<polyline") == 1


def test_distances_are_bubbles_with_areas_as_rates():
    drawn = distances([{1: 0.5}, {1: 2.0, 7: 0.5}], [0, 1], 7, "Reused features")
    radii = [float(value) for value in re.findall(r'class="bubble"|r="([\d.]+)"', drawn) if value]
    assert radii == [5.5, 11, 5.5]
    assert "generation 1, 7 apart: 0.50 links per genome" in drawn


def test_labels_of_marks_avoid_each_other_and_the_marks():
    marks = [Mark("Transformer++", 110.0, 4.1, "diamond"), Mark("Striped hybrid", 108.0, 4.11, "square")]
    dots = [Dot(f"d{k}", 90.0 + 3 * k, 4.0 + k / 30, 0, False) for k in range(9)]
    drawn = scatter(dots, marks, x_name="parameters", x_title="x", y_name="perplexity", y_title="y")
    found = re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)" class="mark-label" text-anchor="(\w+)">(.*?)<', drawn
    )
    spans = []
    for x, y, anchor, text in found:
        left = float(x) - (7 * len(text) if anchor == "end" else 0)
        spans.append((left, left + 7 * len(text), float(y)))
    (left, right, up), (other_left, other_right, other_up) = spans
    assert right < other_left or other_right < left or abs(up - other_up) >= 14


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
