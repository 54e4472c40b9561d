"""The page's own style and script, as they stand in every page."""

STYLE = """
:root { --ink:#1d2430; --soft:#5b6575; --line:#e3e7ed; --paper:#f5f6f9; --card:#ffffff; --accent:#3b7dd8;
  --good:#1f8a5f;
  --bad:#c8364f; --code:#f1f3f7; --best:#eaf5ef; --shadow:0 1px 2px rgba(20,30,50,.05),
  0 6px 24px rgba(20,30,50,.05); }
:root[data-theme=dark] { --ink:#e8eaee; --soft:#a3abb8; --line:#2c323c; --paper:#0f1216; --card:#171b21;
  --accent:#74a9f5;
  --good:#5cc79a; --bad:#f0788c; --code:#0f1318; --best:#18291f; --shadow:none; }
* { box-sizing:border-box; }
html { scroll-behavior:smooth; -webkit-text-size-adjust:100%; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:16px/1.6 Inter,"Segoe UI",Roboto,"Helvetica Neue",Arial,
  "Liberation Sans",sans-serif; -webkit-font-smoothing:antialiased; }
header, main, footer, nav { max-width:1080px; margin:0 auto; padding:0 24px; }
header { position:relative; padding-top:48px; padding-bottom:12px; }
h1 { font-size:clamp(26px,4vw,38px); line-height:1.15; letter-spacing:-.02em; margin:0 56px 8px 0;
  overflow-wrap:anywhere; }
.lead { color:var(--soft); font-size:17px; margin:0; max-width:46em; }
#theme { position:absolute; right:24px; top:48px; width:38px; height:38px; border-radius:50%;
  border:1px solid var(--line);
  background:var(--card); color:var(--soft); font-size:18px; line-height:1; cursor:pointer; }
nav { display:flex; flex-wrap:wrap; gap:6px 8px; padding-top:12px; }
nav a { font-size:13.5px; color:var(--soft); text-decoration:none; padding:3px 11px; border:1px solid var(--line);
  border-radius:99px; background:var(--card);
  max-width:26em; overflow:hidden; text-overflow:ellipsis; white-space:nowrap; }
nav a:hover { color:var(--accent); border-color:var(--accent); }
section { background:var(--card); border:1px solid var(--line); border-radius:14px; box-shadow:var(--shadow);
  padding:28px 32px; margin:22px 0; scroll-margin-top:12px; }
h2 { font-size:22px; letter-spacing:-.01em; line-height:1.25; margin:0 0 6px; }
.answer { font-size:18px; line-height:1.5; margin:0 0 16px; color:var(--soft); max-width:46em; }
p { max-width:46em; margin:10px 0; overflow-wrap:anywhere; } li { max-width:46em; margin:4px 0;
  overflow-wrap:anywhere; }
code { font:.9em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace; background:var(--code);
  padding:.1em .35em; border-radius:5px; }
figure { margin:18px 0; position:relative; } figure:last-child { margin-bottom:4px; }
figcaption { color:var(--soft); font-size:13.5px; line-height:1.5; margin-top:8px; max-width:56em; }
.chart { width:100%; min-height:60px; overflow-x:auto; } .chart.vega-embed { display:block; padding-right:0; }
.chart.vega-embed summary { top:-6px; right:-6px; opacity:.25; background:var(--card); color:var(--ink);
  border-color:var(--line);
  box-shadow:none; }
.chart.vega-embed:hover summary { opacity:.8; }
.chart.vega-embed .vega-actions { background:var(--card); border-color:var(--line); }
.chart.vega-embed .vega-actions a { color:var(--ink); }
  .chart.vega-embed .vega-actions a:hover { background:var(--paper); }
.chart .failed { color:var(--bad); }
.vega-bindings { display:flex; flex-wrap:wrap; gap:6px 18px; font-size:14px; color:var(--soft); }
.vega-bind { display:flex; flex-wrap:wrap; align-items:center; gap:4px 10px; }
.vega-bind-name { font-weight:500; min-width:0; } .vega-bind label { display:inline-flex; align-items:center; gap:5px;
  color:var(--ink); } .vega-bind input, .vega-bind select { accent-color:var(--accent); margin:0; }
.vega-bind select { background:var(--card); color:var(--ink); border:1px solid var(--line); border-radius:6px;
  padding:3px 8px;
  font:inherit; }
.vega-bind-radio { display:flex; flex-wrap:wrap; gap:4px 14px; }
.gallery { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(290px,100%),1fr)); gap:18px 22px; }
.gallery .chart { min-width:0; }
.facts { display:grid; grid-template-columns:repeat(auto-fit,minmax(170px,1fr)); gap:14px; margin:16px 0; }
.fact { border:1px solid var(--line); border-radius:10px; padding:14px 16px; }
.fact dt { color:var(--soft); font-size:13px; } .fact p { color:var(--soft); font-size:13px; line-height:1.4;
  margin:2px 0 0; }
.fact dd { margin:0; font-size:26px; font-weight:600; letter-spacing:-.02em; line-height:1.3; overflow-wrap:anywhere;
  font-variant-numeric:tabular-nums; }
.fact.good dd { color:var(--good); } .fact.bad dd { color:var(--bad); }
.scroll { overflow-x:auto; max-height:560px; overflow-y:auto; border:1px solid var(--line); border-radius:10px; }
table.data { border-collapse:collapse; width:100%; font-size:14px; line-height:1.4;
  font-variant-numeric:tabular-nums; }
.data th { position:sticky; top:0; background:var(--card); text-align:left; font-weight:600; color:var(--soft);
  font-size:13px;
  padding:9px 14px; box-shadow:inset 0 -1px var(--line); white-space:nowrap; vertical-align:bottom; z-index:1; }
.data td { padding:7px 14px; border-top:1px solid var(--line); vertical-align:baseline; }
@media (max-width:640px) { .data td:not(.number) { min-width:6.5em; } }
.data tbody tr:first-child td { border-top:0; } .data .number { text-align:right; white-space:nowrap; }
.scroll:has(.narrow) { width:fit-content; max-width:100%; min-width:min(520px,100%); }
.data .number small { display:inline-block; min-width:9.5em; text-align:left; padding-left:3px; }
.data small { color:var(--soft); font-size:12.5px; white-space:nowrap; } .data tr.best td { background:var(--best);
  font-weight:600; }
.data i { display:inline-block; width:9px; height:9px; border-radius:50%; margin-right:7px; }
.sortable th { cursor:pointer; user-select:none; } .sortable th:hover { color:var(--accent); }
.sortable th[aria-sort=ascending]::after { content:" ↑"; } .sortable th[aria-sort=descending]::after { content:" ↓"; }
.code pre { background:var(--code); border:1px solid var(--line); border-radius:10px; padding:16px 18px;
  overflow-x:auto; margin:0;
  font-size:14px; } .code pre code { background:none; padding:0; }
.copy { position:absolute; right:10px; top:10px; font:inherit; font-size:12.5px; color:var(--soft);
  background:var(--card);
  border:1px solid var(--line); border-radius:7px; padding:2px 10px; cursor:pointer; }
  .copy:hover { color:var(--accent); }
summary { cursor:pointer; } summary h2 { display:inline; } details > summary { margin-bottom:6px; }
footer { color:var(--soft); font-size:13.5px; padding-top:4px; padding-bottom:48px; }
#vg-tooltip-element.vg-tooltip { font-family:inherit; font-size:13px; border-radius:8px; padding:8px 11px;
  background:var(--card); color:var(--ink); border:1px solid var(--line); box-shadow:0 4px 18px rgba(0,0,0,.14); }
#vg-tooltip-element.vg-tooltip td.key { color:var(--soft); }
@media (max-width:640px) { section { padding:20px 16px; border-radius:10px; } header, main, footer,
  nav { padding-left:12px;
  padding-right:12px; } #theme { right:12px; top:36px; } header { padding-top:36px; } }
@media print { body { background:#fff; } section { break-inside:avoid; box-shadow:none; } #theme, nav,
  .copy { display:none; }
  .scroll { max-height:none; } }
"""

SCRIPT = """
(() => {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const root = document.documentElement, views = [];
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const merge = (base, over) => {
    const result = { ...base };
    for (const key of Object.keys(over)) {
      const both = [base[key], over[key]].every((v) => v && typeof v === "object" && !Array.isArray(v));
      result[key] = both ? merge(base[key], over[key]) : over[key];
    }
    return result;
  };
  async function draw(element, index, dark) {
    const { spec, config, renderer } = payload.charts[index];
    try {
      if (views[index]) views[index].finalize();
      views[index] = await vegaEmbed(element, structuredClone(spec), {
        config: merge(dark ? payload.dark : payload.light, config), renderer, tooltip: { theme: "custom" },
        logLevel: 1,  // errors alone: a layer without rows, as of no diverged runs, is worth no warning
        actions: { export: true, source: false, compiled: false, editor: false }, downloadFileName: document.title,
      });
      return 1;
    } catch (error) {
      element.innerHTML = "";
      const note = document.createElement("p");
      note.className = "failed";
      note.textContent = "This chart could not be drawn: " + error.message;
      element.append(note);
      console.error(error);
      return 0;
    }
  }
  async function drawAll() {
    const dark = root.dataset.theme === "dark";
    let drawn = 0;
    for (const element of document.querySelectorAll("[data-chart]")) {
      drawn += await draw(element, Number(element.dataset.chart), dark);
      await new Promise((resolve) => setTimeout(resolve));
    }
    root.dataset.drawn = drawn + "/" + payload.charts.length;
  }
  function setTheme(dark) {
    root.dataset.theme = dark ? "dark" : "light";
    drawAll();
  }
  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));
  system.addEventListener("change", (event) => setTheme(event.matches));
  for (const details of document.querySelectorAll("details"))
    details.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")));
  for (const button of document.querySelectorAll(".copy"))
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort === undefined ? cell.textContent.toLowerCase() : Number(cell.dataset.sort);
  };
  const order = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  };
  for (const head of document.querySelectorAll(".sortable th")) {
    const sort = () => {
      const table = head.closest("table"), up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentElement.cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows], column = head.cellIndex;
      rows.sort((a, b) => (up ? 1 : -1) * order(key(a, column), key(b, column)));
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  }
  setTheme(system.matches);
})();
"""
