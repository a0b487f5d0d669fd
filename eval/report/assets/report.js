// The report's page: draws the charts of charts.py with the data of page_data.py. Texts go in as text, never as markup.
// One script with report_look.js and report_curves.js, which come first.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const several = data.runs.length > 1;
const dark = matchMedia("(prefers-color-scheme: dark)");
const MINUS = "\u2212";
// What is shown; `generation` is null until one is chosen, and stays as chosen where a cell lacks it.
const state = { measure: "", run: 0, cell: 0, generation: null, seeds: false, ratios: new Set(), cycles: new Set() };

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const number = (value, digits = 4) =>
  value === null || value === undefined ? "–" : String(Number(value.toPrecision(digits))).replace("-", MINUS);
const percent = (share) => (share === 0 || share >= 0.0001 ? `${Number((100 * share).toPrecision(3))} %` : "< 0.01 %");
const phi = (ratio) => `φ = ${ratio}`;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const unique = (values) => [...new Set(values)];

// Charts.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draws a chart into an element; resolves to its view. A later call for the same element wins. */
async function draw(holder, chart) {
  const turn = (holder.turn = (holder.turn ?? 0) + 1);
  const text = css("--text"), muted = css("--muted"), line = css("--line");
  const spec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: css("--card"),
    config: {
      customFormatTypes: true,
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: muted, tickColor: muted,
              labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", grid: true },
      axisX: { grid: false },
      header: { labelColor: text, labelFontSize: 13, labelFontWeight: "bold" },
      legend: { labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
      title: { color: text, fontSize: 13, anchor: "start" },
    },
    ...chart,
  };
  const shown = await vegaEmbed(holder, spec, {
    expressionFunctions: { plain: (value) => (typeof value === "number" ? number(value) : value) },
    ast: true, // the page's policy allows no code made of text
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    tooltip: { theme: dark.matches ? "dark" : "light" },
    downloadFileName: holder.id,
  });
  if (turn !== holder.turn) return null;
  holder.view?.finalize();
  holder.view = shown.view;
  return shown.view;
}

function save(name, rows) {
  const columns = Object.keys(rows[0] ?? {});
  const field = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  const text = lines.map((line) => line.map(field).join(",")).join("\n") + "\n";
  const link = element("a", undefined, { download: `${name}.csv` });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

// Measures against generation.

const controlName = (cycle) => `control (${cycle})`;
const isControl = (run, cycle) => run.controls.includes(cycle);
const DASHES = [[1, 0], [6, 2], [4, 2, 1, 2], [1, 2], [8, 2, 1, 2, 1, 2]];

/** The cycles that have a panel: those that train on generated examples, or else the control itself. */
function panelsOf(runs) {
  const all = runs.flatMap((run) => run.cells.map((cell) => cell.panel));
  const consuming = runs.flatMap((run) => run.cells.filter((cell) => !isControl(run, cell.cycle)).map((cell) => cell.panel));
  return unique(consuming.length ? consuming : all);
}

/** One row per line and generation: means over seeds (`kind` mean) and, if wanted, single seeds. */
function measureRows() {
  const rows = [];
  for (const run of data.runs) {
    for (const panel of panelsOf([run])) {
      if (!state.cycles.has(panel)) continue;
      const learners = unique(run.cells.filter((cell) => cell.panel === panel).map((cell) => cell.learner));
      const here = run.cells.filter((cell) => cell.panel === panel || (isControl(run, cell.cycle) && learners.includes(cell.learner)));
      for (const group of Object.values(Object.groupBy(here, (cell) => `${cell.cycle} ${cell.fresh_ratio}`))) {
        const { cycle, fresh_ratio: ratio } = group[0];
        if (!isControl(run, cycle) && !state.ratios.has(ratio)) continue;
        const common = { panel: several ? `${panel} · ${run.label}` : panel, run: run.label, cycle,
                         line: isControl(run, cycle) ? controlName(cycle) : phi(ratio), control: isControl(run, cycle) };
        const at = new Map(); // generation: [seed, value, cell] of every seed that has one
        for (const cell of group) {
          cell.generations.forEach((generation, i) => {
            const value = cell.values[state.measure]?.[i] ?? null;
            if (value === null) return;
            if (!at.has(generation)) at.set(generation, []);
            at.get(generation).push([cell.seed, value, cell.name]);
          });
        }
        for (const [generation, seeds] of [...at].sort((a, b) => a[0] - b[0])) {
          const values = seeds.map(([, value]) => value);
          const low = Math.min(...values), high = Math.max(...values);
          rows.push({ ...common, generation, kind: "mean", value: mean(values), low, high,
                      who: values.length > 1 ? `mean of ${values.length} seeds` : `seed ${seeds[0][0]}`,
                      range: values.length > 1 ? `${number(low)} – ${number(high)}` : "–",
                      seeds: seeds.slice(0, 8).map(([seed, value]) => `${seed}: ${number(value)}`).join(", ")
                        + (seeds.length > 8 ? ", …" : ""),
                      name: seeds[0][2] });
          if (!state.seeds || values.length < 2) continue;
          for (const [seed, value, name] of seeds) {
            rows.push({ ...common, generation, kind: "seed", value, low: value, high: value,
                        who: `seed ${seed}`, range: "–", seeds: "–", name });
          }
        }
      }
    }
  }
  return rows;
}

function measureChart(rows, room) {
  const chart = structuredClone(data.charts.measure);
  chart.facet.sort = unique(rows.map((row) => row.panel));
  const panels = chart.facet.sort.length;
  const shared = data.runs.length <= 3 && several ? data.runs.length : panels === 4 ? 2 : 3;
  const columns = Math.max(1, Math.min(panels, shared, Math.floor(room / 270)));
  const { label } = data.measures.find((measure) => measure.name === state.measure);
  const low = Math.min(...rows.map((row) => row.low)), high = Math.max(...rows.map((row) => row.high));
  const controls = unique(rows.filter((row) => row.control).map((row) => row.line));
  const lines = [...data.ratios.map(phi), ...controls];
  const colours = [...data.colours[dark.matches ? "dark" : "light"], ...controls.map(() => css("--muted"))];
  const dashes = [...data.ratios.map((_, i) => DASHES[i % DASHES.length]), ...controls.map(() => [3, 3])];
  const there = lines.map((line, i) => [line, i]).filter(([line]) => rows.some((row) => row.line === line));
  const domain = there.map(([line]) => line);
  chart.data.values = rows.map((row) => ({ ...row, colour: colours[lines.indexOf(row.line)] }));
  chart.columns = columns;
  chart.title = { text: label, offset: 8 };
  chart.description = `${label} against generation, a line for every share of fresh data`;
  chart.spec.width = Math.max(180, Math.min(columns > 1 ? 560 : 960, (room - 100 - 26 * (columns - 1)) / columns));
  const [area, seed, line, near] = chart.spec.layer.map((layer) => layer.encoding);
  const scale = { zero: low >= 0 && low < 0.6 * high, nice: true };
  for (const layer of [area, seed, line, near]) {
    layer.y = { ...layer.y, title: null, scale };
  }
  const scaled = { domain, range: there.map(([, i]) => colours[i]) };
  const legend = { title: "share of fresh data", orient: "top", columns: room < 600 ? 2 : 6, symbolSize: 500,
                   symbolOpacity: 1, symbolStrokeWidth: 2.4 };
  for (const layer of [seed, line]) {
    layer.stroke = { ...layer.stroke, scale: scaled, legend };
    layer.strokeDash = { ...layer.strokeDash, scale: { domain, range: there.map(([, i]) => dashes[i]) }, legend };
  }
  if (unique(rows.map((row) => row.generation)).length === 1) near.opacity = { value: 1 }; // a line needs two
  if (!rows.some((row) => row.kind === "seed")) chart.spec.layer.splice(1, 1); // Vega warns of layers without data
  return chart;
}

async function showMeasure() {
  const rows = measureRows();
  $("measure-none").hidden = rows.length > 0;
  $("measure-chart").hidden = rows.length === 0;
  if (!rows.length) return;
  const view = await draw($("measure-chart"), measureChart(rows, $("measure-chart").clientWidth));
  view?.addEventListener("click", (_, item) => {
    const chosen = item?.datum?.datum ?? item?.datum;
    if (chosen?.name) look(data.runs.findIndex((run) => run.label === chosen.run), chosen.name, chosen.generation);
  });
}

function choices(holder, name, values, label, chosen) {
  for (const value of values) {
    const box = element("input", undefined, { type: "checkbox" });
    box.checked = true;
    chosen.add(value);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(value); else chosen.delete(value);
      showMeasure();
    });
    const line = element("label");
    line.append(box, element("span", label(value)));
    holder.append(line);
  }
  holder.hidden = values.length < 2;
}

// The address: #generation=3&cell=full_fresh0.5_seed0&measure=novelty&run=NAME

function remember() {
  const address = new URLSearchParams();
  if (state.generation !== null) address.set("generation", state.generation);
  address.set("cell", chosenCell().name);
  address.set("measure", state.measure);
  if (several) address.set("run", data.runs[state.run].label);
  try { history.replaceState(null, "", `#${address}`); } catch { /* shown inside another page */ }
}

/** Takes over what the address names. */
function recall() {
  const address = new URLSearchParams(location.hash.slice(1));
  const run = address.has("run") ? data.runs.findIndex((r) => r.label === address.get("run")) : state.run;
  if (run >= 0) {
    const cell = data.runs[run].cells.findIndex((c) => c.name === address.get("cell"));
    if (cell >= 0) Object.assign(state, { run, cell });
  }
  const generation = parseInt(address.get("generation"), 10);
  if (Number.isInteger(generation)) state.generation = generation;
  if (data.measures.some((measure) => measure.name === address.get("measure"))) state.measure = address.get("measure");
  $("measure").value = state.measure;
}

function fillPickers() {
  for (const [group, measures] of Object.entries(Object.groupBy(data.measures, (measure) => measure.group))) {
    const part = element("optgroup", undefined, { label: group });
    part.append(...measures.map(({ name, label }) => element("option", label, { value: name })));
    $("measure").append(part);
  }
  data.runs.forEach((run, r) => {
    for (const [cycle, cells] of Object.entries(Object.groupBy(run.cells, (cell) => cell.cycle))) {
      const part = element("optgroup", undefined, { label: several ? `${run.label}: ${cycle}` : cycle });
      part.append(...cells.map((cell) => element("option", `${several ? `${run.label}: ` : ""}${cycle}, ${phi(cell.fresh_ratio)}, seed ${cell.seed}`,
                                                 { value: `${r} ${run.cells.indexOf(cell)}` })));
      $("cell").append(part);
    }
  });
  choices($("ratios"), "ratio", data.ratios, phi, state.ratios);
  choices($("cycles"), "cycle", panelsOf(data.runs), String, state.cycles);
}

function redraw() { showMeasure(); showCell(); }

state.measure = data.measures[0].name;
fillPickers();
recall();
$("measure").addEventListener("change", (event) => { state.measure = event.target.value; remember(); showMeasure(); });
$("seeds").addEventListener("change", (event) => { state.seeds = event.target.checked; showMeasure(); });
$("cell").addEventListener("change", (event) => {
  [state.run, state.cell] = event.target.value.split(" ").map(Number);
  showCell();
});
$("generation").addEventListener("input", (event) => {
  stop();
  state.generation = seen(chosenCell())[event.target.value];
  showSlider();
});
$("play").addEventListener("click", play);
$("measure-csv").addEventListener("click", () => save(state.measure, measureRows().map(
  ({ run, cycle, line, generation, who, value, low, high }) => ({ run, panel_cycle: cycle, fresh: line, generation, who, value, low, high }))));
$("look-csv").addEventListener("click", () => {
  const cell = chosenCell(), common = { run: data.runs[state.run].label, cell: cell.name };
  save(cell.name, seen(cell).flatMap((generation) => ["depth", "length"].flatMap((what) =>
    histogramRows(cell, what, generation).map(({ bar, share, truth }) => ({ ...common, generation, what, bar, share, truth }))))
    .concat(descentRows(cell).map(({ generation, origin: bar, share }) => (
      { ...common, generation, what: "descent", bar, share, truth: null }))));
});
addEventListener("hashchange", () => { recall(); redraw(); });
dark.addEventListener("change", redraw);
$("curves-csv").addEventListener("click", () => save(`${chosenCell().name}_training`, curveRows(chosenCell()).map(
  ({ generation, step, what, loss }) => ({ run: data.runs[state.run].label, cell: chosenCell().name, generation, step, what, loss }))));
let width = innerWidth, waiting;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's address bar
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(() => { showMeasure(); showCurves(chosenCell()); }, 150); // the others follow their containers by themselves
});
addEventListener("beforeprint", () => document.querySelectorAll("details.print").forEach((part) => { part.open = true; }));
document.documentElement.classList.add("interactive");
document.querySelectorAll("details.print").forEach((part) => { part.open = false; }); // open where no script runs
redraw();
