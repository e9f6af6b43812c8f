import pytest

from star_core import units
from star_core.analysis.drawing.axes import axis, linear_ticks, log_ticks
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.objectives.base import described


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(987), "987"),
        (units.count(205_376), "205k"),
        (units.count(999_600), "1.00M"),
        (units.count(1_250_000), "1.25M"),
        (units.count(0), "0"),
        (units.count(None), "–"),
        (units.size(512), "512 B"),
        (units.size(543_488), "531 KiB"),
        (units.size(2 << 20), "2.00 MiB"),
        (units.flops(1.7e12), "1.70 TFLOP"),
        (units.quality(4.29187), "4.292"),
        (units.quality(1234.5), "1234"),
        (units.change(87, 100), "−13 %"),
        (units.change(104, 100), "+4.0 %"),
        (units.change(100.01, 100), "±0 %"),
        (units.change(0.3, 100), "−99.7 %"),
        (units.change(0, 100), "−100 %"),
        (units.change(1, 0), "–"),
        (units.change(None, 5), "–"),
        (units.percent(0.5625), "56 %"),
        (units.duration(4.21), "4.2 s"),
        (units.duration(59.7), "1 min 00 s"),
        (units.duration(200), "3 min 20 s"),
        (units.duration(7500), "2 h 05 min"),
        (units.trimmed("2.00 MiB"), "2 MiB"),
        (units.trimmed("1.50k"), "1.5k"),
        (units.trimmed("100k"), "100k"),
        (units.plural(1, "LIV"), "1 LIV"),
        (units.plural(1200, "LIV"), "1,200 LIVs"),
        (units.quantity(1_234_567, "J", 4), "1.235 MJ"),
        (units.quantity(1_234_567, "J"), "1.23 MJ"),
        (units.quantity(12, "J"), "12 J"),
        (units.quantity(0.0123, "J"), "12.3 mJ"),
        (units.quantity(-3.2e-8, "J"), "-32.0 nJ"),
        (units.quantity(0.0, "J"), "0 J"),
        (units.quantity(0.4213, "%"), "42.1 %"),
        (units.quantity(3.14159, "", 1), "3.1"),
        (units.quantity(None, "J"), "–"),
    ],
)
def test_numbers_as_people_read_them(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("perplexity", (4.29187, 1234.5), ("4.292", "1234")),
        ("mad_error", (0.0625, 1.0), ("0.062", "1.000")),
        ("parameters", (1024, 205_376.0), ("1.02k", "205k")),
        ("cache_bytes", (1024, 543_488.0), ("1.00 KiB", "531 KiB")),
        ("peak_memory_bytes", (512, 2 << 20), ("512 B", "2.00 MiB")),
        ("prefill_flops", (431_104.5, 999), ("431 kFLOP", "999 FLOP")),
        ("decode_flops", (1.7e6, None), ("1.70 MFLOP", "–")),
        ("prefill_seconds", (0.00085, 2.0), ("850 µs", "2.00 s")),
        ("decode_seconds_per_token", (0.0125, 0.9996), ("12.5 ms", "1.00 s")),
        ("of_no_plug_in_here", (4.29187, 1_234_567), ("4.292", "1.235e+06")),
    ],
)
def test_an_objective_is_printed_in_its_unit(name, values, expected):
    assert tuple(described(name).text(value) for value in values) == expected


def test_ticks_are_round_and_in_range():
    assert linear_ticks(4.2, 5.9) == (4.5, 5.0, 5.5)
    assert log_ticks(90.0, 5000.0) == (100, 200, 500, 1000, 2000, 5000)
    assert log_ticks(3000.0, 70_000.0, base=2) == (4096, 8192, 16384, 32768, 65536)


def test_an_axis_holds_its_values_and_keeps_outliers_at_its_ends():
    x = axis([10.0, 1000.0], 50, 450, str)
    assert x.logarithmic
    assert 50 < x(10) < x(100) < x(1000) < 450
    assert x(100) == pytest.approx(250)
    assert x(1e9) == 450
    assert not axis([4.0, 5.0], 0, 1, str).logarithmic
    assert axis([7.0], 0, 100, str)(7.0) == pytest.approx(50)
    assert axis([0.0, 3.0], 0, 100, str, zero=True)(0) == 0


def test_markup_escapes_what_is_not_markup():
    hostile = '<script>alert("x")</script>'
    assert hostile not in tag("p", hostile, title=hostile)
    assert tag("p", tag("b", "a & b"), class_="x", hidden=None) == '<p class="x"><b>a &amp; b</b></p>'
    assert isinstance(join([Markup("<i></i>"), "<"]), Markup)
    assert tag("br") == "<br>"
    assert (
        tag("line", x1=1.0, x2=-0.001, stroke_width=1.23456)
        == '<line x1="1" x2="0" stroke-width="1.23"></line>'
    )
