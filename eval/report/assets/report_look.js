// The report's look into one cell at one generation; one script with report.js.

const chosenCell = () => data.runs[state.run].cells[state.cell];
const seen = (cell) => Object.keys(cell.views).map(Number).sort((a, b) => a - b);

function look(run, name, generation) {
  const cell = data.runs[run]?.cells.findIndex((c) => c.name === name) ?? -1;
  if (cell < 0) return;
  Object.assign(state, { run, cell, generation });
  showCell();
}

/** The generation that is shown: the chosen one, or the nearest that there is. */
function generationOf(cell) {
  const there = seen(cell);
  const wanted = state.generation ?? there.at(-1) ?? 0;
  return there.reduce((best, t) => (Math.abs(t - wanted) < Math.abs(best - wanted) ? t : best), there[0]);
}

/** Not every language has depths. */
const has = (cell, what) => Object.values(cell.views).some((view) => view[what]);
const histogramsOf = (cell) => ["depth", "length"].filter((what) => has(cell, what));

function histogramRows(cell, what, generation) {
  const run = data.runs[state.run], counts = cell.views[generation]?.[what], truth = run.truth?.[what];
  const width = what === "length" ? run.width : 1;
  if (!counts) return [];
  const total = counts.reduce((a, b) => a + b, 0) || 1;
  const from = what === "length" ? firstBar(cell, truth) : 0;
  return counts.map((count, i) => {
    const low = i * width, high = low + width - 1;
    const bar = i === counts.length - 1 ? `≥ ${low}` : width > 1 ? `${low}–${high}` : `${low}`;
    return { bar, share: count / total, truth: truth ? truth[i] : null };
  }).slice(from);
}

/** The first bar of lengths that any generation of the cell, or the real data, has. */
function firstBar(cell, truth) {
  const used = (counts) => counts.findIndex((count) => count > 1e-9);
  const all = Object.values(cell.views).map((view) => view.length && used(view.length)).filter((i) => i >= 0);
  return Math.max(0, Math.min(...all, truth ? used(truth) : Infinity));
}

function highest(cell, what) {
  const truth = data.runs[state.run].truth?.[what] ?? [0];
  const shares = Object.values(cell.views).filter((view) => view[what])
    .map((view) => Math.max(...view[what]) / (view[what].reduce((a, b) => a + b, 0) || 1));
  return Math.max(...truth, ...shares);
}

function histogram(cell, what, generation) {
  const chart = structuredClone(data.charts.histogram);
  const rows = histogramRows(cell, what, generation);
  const [bars, ticks] = chart.layer;
  chart.data.values = rows;
  chart.encoding.x.title = what === "length" ? "length (symbols)" : "depth";
  chart.encoding.x.axis = { labelAngle: 0, labelOverlap: "greedy", labelSeparation: 4 };
  chart.description = `${what} of the samples, and of the real distribution`;
  bars.mark.color = css("--bar");
  ticks.mark.color = css("--text");
  bars.encoding.y.scale = { domain: [0, highest(cell, what)], nice: true };
  ticks.mark.bandSize = undefined;
  return chart;
}

function shade(root, generations) {
  const model = root >= 0, first = model ? root : -1 - root;
  const age = generations > 1 ? Math.min(1, first / (generations - 1)) : 0;
  const [from, to] = dark.matches ? [72, 36] : [34, 76];
  return `hsl(${model ? 30 : 208} ${model ? 88 : 62}% ${(from + (to - from) * age).toFixed(0)}%)`;
}

function descentRows(cell) {
  const there = seen(cell), generations = (there.at(-1) ?? 0) + 1, rows = [];
  for (const generation of there) {
    const { roots = [], samples = 1 } = cell.views[generation];
    for (const [root, count] of roots) {
      rows.push({ generation, share: count / samples, colour: shade(root, generations),
                  place: root < 0 ? -1 - root : 1e6 + root, origin: origin(root) });
    }
  }
  return rows;
}

const origin = (root) => (root < 0 ? `real data drawn for generation ${-1 - root}` : `written by model ${root}`);

/** Everything that depends on the cell; then what depends on the generation. */
async function showCell() {
  const cell = chosenCell(), there = seen(cell);
  const generation = generationOf(cell);
  $("cell").value = `${state.run} ${state.cell}`;
  $("look-none").hidden = there.length > 0;
  $("look").hidden = there.length === 0;
  remember();
  showCurves(cell);
  if (!there.length) return;
  const slider = $("generation");
  slider.max = there.length - 1;
  slider.value = there.indexOf(generation);
  slider.disabled = $("play").disabled = there.length < 2;
  showGeneration();
  const descent = descentRows(cell);
  const histograms = there.some((t) => cell.views[t].depth);
  $("histograms").hidden = !histograms;
  $("descent").hidden = !descent.length;
  $("descent-none").hidden = descent.length > 0;
  const drawn = [];
  if (histograms) {
    $("depth-part").hidden = !has(cell, "depth");
    for (const what of histogramsOf(cell)) drawn.push(draw($(`${what}-chart`), histogram(cell, what, generation)));
  }
  if (descent.length) {
    const chart = structuredClone(data.charts.descent);
    chart.data.values = descent;
    chart.description = "where the expressions of every generation's samples were seen first";
    chart.params[0].value = generation;
    chart.encoding.x.axis = { ...chart.encoding.x.axis, labelOverlap: "greedy" };
    drawn.push(draw($("descent-chart"), chart).then((view) => view?.addEventListener("click", (_, item) => {
      if (item?.datum?.generation !== undefined) { state.generation = item.datum.generation; showSlider(); }
    })));
  }
  await Promise.all(drawn);
  update(); // the slider may have moved meanwhile
}

function showSlider() {
  $("generation").value = seen(chosenCell()).indexOf(generationOf(chosenCell()));
  showGeneration();
  update();
  remember();
}

/** The charts' share of a new generation: new rows in the same axes. */
function update() {
  const cell = chosenCell(), generation = generationOf(cell);
  for (const what of histogramsOf(cell)) {
    $(`${what}-chart`).view?.data("rows", histogramRows(cell, what, generation)).run();
  }
  $("descent-chart").view?.signal("now", generation).run();
}

/** The numbers and texts of the generation. */
function showGeneration() {
  const cell = chosenCell(), generation = generationOf(cell), view = cell.views[generation];
  const run = data.runs[state.run], at = cell.generations.indexOf(generation);
  $("generation-shown").textContent = `${generation}`;
  $("generation").setAttribute("aria-valuetext", `generation ${generation}`);
  $("facts").replaceChildren(...run.facts.filter(([, name]) => cell.values[name]).map(([label, name]) => {
    const fact = element("div");
    const value = cell.values[name][at];
    const shown = name === "levenshtein_diversity" || value == null ? number(value, 3) : percent(value);
    fact.append(element("dt", label), element("dd", shown));
    return fact;
  }));
  const mark = (kind) => {
    const [symbol, meaning] = data.kinds[kind];
    return element("b", symbol, { title: meaning, role: "img", "aria-label": meaning });
  };
  const top = view.top ?? [];
  $("top-part").hidden = !top.length;
  $("distinct").textContent = top.length ? `${view.distinct} different among ${view.samples}` : "";
  $("top").replaceChildren(...top.map(([i, share, probability]) => {
    const [text, kind] = run.texts[i], row = element("tr", undefined, { class: kind });
    const bar = element("span", undefined, { class: "bar" }), cellOfText = element("td", undefined, { class: "code" });
    bar.style.width = `${(100 * share / top[0][1]).toFixed(1)}%`;
    cellOfText.append(mark(kind), element("span", text, { class: "text" }), bar);
    row.append(cellOfText, element("td", percent(share)),
               element("td", probability ? percent(probability) : "–"));
    return row;
  }));
  const before = new Set();
  $("first-part").hidden = !view.first;
  $("first").replaceChildren(...(view.first ?? []).map((i) => {
    const [text, kind] = run.texts[i];
    const row = element("li", undefined, { class: before.has(i) ? `${kind} repeat` : kind });
    before.add(i);
    row.append(mark(kind), element("span", text, { class: "text" }));
    return row;
  }));
}

// Playing: one generation after another.

let playing = null;
function stop() {
  clearInterval(playing);
  playing = null;
  $("play").textContent = "▶ Play";
}

function play() {
  if (playing !== null) return stop();
  const step = () => {
    const there = seen(chosenCell()), next = there.indexOf(generationOf(chosenCell())) + 1;
    if (next >= there.length) return stop();
    state.generation = there[next];
    showSlider();
  };
  if (generationOf(chosenCell()) === seen(chosenCell()).at(-1)) { state.generation = seen(chosenCell())[0]; showSlider(); }
  playing = setInterval(step, 700);
  $("play").textContent = "❚❚ Pause";
}
