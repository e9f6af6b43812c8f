"""The frame of the report: one HTML page, its style inside, for screens in light and dark and for paper."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.analysis.drawing.colours import DARK_RAMP, LIGHT_RAMP, family_css, hatching, variables
from star_core.analysis.drawing.markup import Markup, join, tag

_LIGHT = """color-scheme:light;--page:#ffffff;--ink:#1b1f24;--soft:#5a636e;--line:#d9dde2;--grid:#eceef1;
--tint:#f5f6f8;--edge:#9aa3ad;--accent:#8f3868;--second:#0072b2;--hatch:#000;"""
_DARK = """color-scheme:dark;--page:#14171b;--ink:#e8eaed;--soft:#a2abb6;--line:#363c44;--grid:#23282e;
--tint:#1c2025;--edge:#68727e;--accent:#f09f86;--second:#63b3e4;"""

_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.55 "Inter","Helvetica Neue",Helvetica,"Segoe UI","Liberation Sans",Arial,sans-serif}
main{max-width:1140px;margin:0 auto;padding:44px 30px 80px}
h1{font-size:15px;font-weight:600;margin:0 0 14px;color:var(--soft);letter-spacing:.01em}
h1 b{color:var(--ink)}
.headline{font-size:25px;line-height:1.36;font-weight:500;letter-spacing:-.011em;
margin:0 0 26px;max-width:1000px;text-wrap:pretty}
h2{font-size:20px;font-weight:600;letter-spacing:-.008em;margin:58px 0 6px}
h3{font-size:14px;font-weight:600;margin:22px 0 4px}
p{margin:6px 0 14px;max-width:800px}
.soft,.lead,figcaption{color:var(--soft)}
.lead{margin-bottom:18px}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(158px,1fr));gap:16px 26px;margin:0 0 8px;
padding:18px 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
.facts .broad{grid-column:span 2}
.facts dt{font-size:12px;color:var(--soft)}
.facts dd{margin:0;font-size:16px;font-variant-numeric:tabular-nums}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:26px 34px;align-items:start}
figure{margin:0;break-inside:avoid}
figcaption{font-size:13px;margin-top:4px;max-width:56em}
svg{display:block;width:100%;height:auto;overflow:visible;font-family:inherit}
svg text{font-size:12px;fill:var(--ink)}
svg .tick{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}
svg .title{fill:var(--soft);font-size:12px}
.grid{stroke:var(--grid)} .axis{stroke:var(--soft)}
.stairs{fill:none;stroke-width:1.4;stroke-opacity:.85}
.dot{stroke:var(--page);stroke-width:.6} .winner{stroke:var(--ink);stroke-width:1.5}
.mark{fill:var(--page);stroke:var(--ink);stroke-width:1.8}
svg .mark-label{font-weight:600;paint-order:stroke;stroke:var(--page);stroke-width:4px;stroke-linejoin:round}
.line{fill:none;stroke-width:2;stroke:var(--accent)} .faint{stroke-dasharray:2 4;stroke-width:1.6}
.second{stroke:var(--second)} .point{fill:var(--accent)} .point.second{fill:var(--second);stroke:none}
.bubble{fill:var(--second);fill-opacity:.75;stroke:var(--page);stroke-width:.8}
.spark{display:inline-block;width:84px;height:20px;vertical-align:-4px} .spark .line{stroke-width:1.6}
.whisker{stroke:var(--accent);stroke-width:1.8} .whisker.unclear{stroke:var(--edge)}
.candidate{fill:var(--accent);fill-opacity:.7;stroke:var(--page);stroke-width:.5}
.whisker-dot{stroke:var(--accent);stroke-width:1.8;fill:var(--accent)}
.whisker-dot.unclear{stroke:var(--edge);fill:var(--page)} svg .tick.clear{fill:var(--ink);font-weight:600}
.reference{stroke:var(--soft);stroke-dasharray:6 4} svg .note{fill:var(--soft)}
.band{stroke:var(--page);stroke-width:1.2} .hatch{fill:url(#differential)}
.strip{max-width:100%} svg .cell{font-size:11.5px;font-weight:600;text-anchor:middle}
svg .small{font-size:8.5px;font-weight:400}
.arc{fill:none;stroke:var(--ink);stroke-width:1.3;stroke-opacity:.75} .arc-end{fill:var(--ink)}
svg .roles{font-size:10px;fill:var(--soft)}
.genome{display:grid;grid-template-columns:178px 1fr;gap:4px 22px;align-items:center;padding:13px 0;
border-bottom:1px solid var(--grid);break-inside:avoid}
.genome b{display:block;font-weight:600}
.genome small{color:var(--soft);font-size:12.5px;line-height:1.45;display:block}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--soft);margin:8px 0 10px;
max-width:none}
.key{display:inline-block;width:22px;height:12px;border-radius:2px;margin-right:7px;vertical-align:-1px}
.hatched{background:repeating-linear-gradient(135deg,#9aa1aa 0 3px,#c3c8cf 3px 6px)}
.ramp i{display:inline-block;width:11px;height:11px;vertical-align:-1px}
.ramp{white-space:nowrap;font-size:13px}
.edge{fill:none;stroke:var(--edge);stroke-width:1.2}
svg .node-label{text-anchor:middle;font-size:11px}
svg .made{fill:var(--soft)} svg .winner-id{font-weight:700}
.chip{display:inline-block;font-size:11.5px;font-weight:600;line-height:18px;padding:0 5px;margin-right:3px;
border-radius:3px;text-align:center} .nobreak{white-space:nowrap}
.narrow{max-width:440px}
.shape{display:inline-block;width:16px;height:16px;vertical-align:-3px;margin-right:5px}
.row{display:grid;grid-template-columns:repeat(auto-fill,minmax(232px,1fr));gap:18px 20px}
.changed{fill:var(--accent)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13.5px;width:100%;font-variant-numeric:tabular-nums;margin:8px 0 6px}
th{font-weight:500;color:var(--soft);text-align:left;border-bottom:1px solid var(--ink);
padding:5px 14px 5px 0;vertical-align:bottom;white-space:nowrap}
td{padding:5px 14px 5px 0;border-bottom:1px solid var(--grid);vertical-align:top}
th.n,td.n{text-align:right;white-space:nowrap} th:last-child,td:last-child{padding-right:0}
tr.base td{color:var(--soft)} tr.rule td{border-bottom:1px solid var(--line)}
code,pre{font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
td code{user-select:all;overflow-wrap:anywhere;display:inline-block;min-width:35ch}
pre{background:var(--tint);padding:12px 16px;border-radius:5px;overflow-x:auto;margin:8px 0}
details{margin:12px 0} summary{cursor:pointer;color:var(--soft)}
.wide>svg{min-width:860px}
@media(max-width:760px){.genome{grid-template-columns:minmax(0,1fr);overflow-x:auto}
.genome .strip{min-width:660px;max-width:none}.pair{grid-template-columns:1fr}}
@media print{main{padding:0;max-width:none}body{font-size:11.5px}h2{break-after:avoid;margin-top:30px}
.pair{grid-template-columns:1fr 1fr}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(title: str, generations: int, sections: Sequence[Markup]) -> str:
    """The whole document; ``generations`` sets how many colours the ramp has."""
    light, dark = variables(LIGHT_RAMP, generations), variables(DARK_RAMP, generations)
    style = Markup(
        f":root{{{_LIGHT}{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}{dark}}}}}\n{_RULES}{family_css()}"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    body = tag("body", hatching(), tag("main", join(sections, "\n")))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
