"""The style sheet of a report: light and dark, screen and paper; no color carries a meaning alone."""

STYLE = """
.skd { --ink: #1d232b; --soft: #5b6470; --paper: #ffffff; --line: #d7dce2; --wash: #f2f4f7;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #8a5fb0; --bad: #a61b1b; --good: #1b6e3c; --warn: #8a5a00;
  color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) { .skd { --ink: #e6e9ed; --soft: #a3adb8; --paper: #14181d; --line: #39414b;
  --wash: #1e242b; --c0: #56b4e9; --c1: #f0955a; --c2: #3ecb9d; --c3: #bb9be0; --bad: #ff8a8a; --good: #7fd8a4;
  --warn: #f0c36a; } }
.skd * { box-sizing: border-box; }
.skd main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; }
.skd h1 { font-size: 1.6rem; margin: 0 0 .2rem; } .skd h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
.skd h3 { font-size: .95rem; margin: 1rem 0 .2rem; }
.skd p, .skd ul { margin: .4rem 0; } .skd ul { padding-left: 1.2rem; } .skd li { margin: .25rem 0; }
.skd .soft, .skd caption, .skd figcaption { color: var(--soft); font-size: .875rem; }
.skd .verdict { border: 1px solid var(--line); border-left: 6px solid var(--tone); background: var(--wash);
  padding: .9rem 1.1rem; margin: 1rem 0; border-radius: 4px; }
.skd .verdict strong { font-size: 1.2rem; color: var(--tone); }
.skd .invalid, .skd .leak { --tone: var(--bad); } .skd .labels { --tone: var(--warn); }
.skd .none { --tone: var(--good); }
.skd .scroll { overflow-x: auto; }
.skd table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
.skd caption { text-align: left; caption-side: bottom; padding-top: .35rem; }
.skd th, .skd td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
.skd td.wide { white-space: normal; }
.skd td .soft { font-size: .8rem; font-weight: 400; } .skd tr.mark td { font-weight: 600; }
.skd figure { margin: 1rem 0; } .skd svg { width: 100%; height: auto; display: block; max-width: 44rem; }
.skd svg text { fill: var(--ink); font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.skd svg text.strong { font-weight: 600; }
.skd .grid { stroke: var(--line); stroke-width: 1; } .skd .axis { stroke: var(--soft); stroke-width: 1; }
.skd .guess { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 5 4; }
.skd .floor { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 2 3; }
.skd .noise { fill: var(--soft); opacity: .16; } .skd .curve { fill: none; stroke-width: 2.2; }
.skd .curve.c0 { stroke: var(--c0); } .skd .curve.c1 { stroke: var(--c1); } .skd .curve.c2 { stroke: var(--c2); }
.skd .curve.c3 { stroke: var(--c3); } .skd .dot.c0 { fill: var(--c0); } .skd .dot.c1 { fill: var(--c1); }
.skd .area { fill-opacity: .35; stroke-width: 1.4; }
.skd .area.c2 { fill: var(--c2); stroke: var(--c2); } .skd .area.c3 { fill: var(--c3); stroke: var(--c3); }
.skd .rows { display: flex; flex-wrap: wrap; gap: .6rem; } .skd .rows figure { margin: 0; text-align: center; }
.skd .rows img { width: 72px; image-rendering: pixelated; border: 1px solid var(--line); display: block; }
@media print { .skd { --paper: #fff; --ink: #000; --wash: #fff; font-size: 11px; }
  .skd table, .skd td .soft { font-size: 10px; }
  .skd .scroll { overflow: visible; } .skd main { max-width: none;
  padding: 0; } .skd figure, .skd table, .skd .verdict { break-inside: avoid; } .skd h2 { break-after: avoid; } }
"""
