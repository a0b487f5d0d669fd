// The report's training curves of one cell, a line for every generation; one script with report.js.

const CURVES = { train_loss: "training loss", validation_loss: "validation loss" };

function curveRows(cell) {
  return Object.entries(cell.curves ?? {}).flatMap(([generation, curve]) => Object.entries(CURVES).flatMap(
    ([name, what]) => curve.step.map((step, i) => ({ generation: Number(generation), step, what, loss: curve[name][i] }))));
}

/** Of the reference learners, and of runs of older versions, there is none. */
async function showCurves(cell) {
  const rows = curveRows(cell);
  $("curves").hidden = rows.length === 0;
  if (!rows.length) return;
  const room = $("curves-chart").clientWidth, columns = room < 600 ? 1 : 2;
  const chart = structuredClone(data.charts.curves), { color } = chart.spec.encoding;
  chart.data.values = rows;
  chart.columns = columns;
  chart.description = `losses of every evaluation of ${cell.name}, a line for every generation`;
  chart.spec.width = Math.max(180, (room - 190 - 26 * (columns - 1)) / columns);
  const generations = Object.keys(cell.curves).map(Number), first = generations[0], last = generations.at(-1);
  // From the first to the last; a scale needs two ends.
  color.scale = { domain: [first, Math.max(last, first + 1)],
                  scheme: { name: "viridis", extent: dark.matches ? [0.25, 1] : [0, 0.85] } };
  color.legend = { type: "gradient", values: unique([first, Math.round((first + last) / 2), last]), format: "d" };
  await draw($("curves-chart"), chart);
}
