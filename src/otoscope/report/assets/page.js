"use strict";
// Fills the page's figures from the study's numbers and keeps them in step with the controls.
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const { specs, runs, recognisers } = study;
  const get = (id) => document.getElementById(id);
  const steps = [...new Set(Object.values(runs).flatMap((run) => run.steps))].sort((a, b) => a - b);
  const seeds = [...new Set(Object.values(runs).map((run) => run.seed))];
  const figures = [];

  const measure = () => get("measure").value;
  const limit = () => study.distances[measure()];  // of a distance; undefined for a similarity
  const charts = () => specs.distances[measure()] ?? specs;
  const beside = (table, i, j) => ({
    value: table?.[0][i]?.[j] ?? null, null: table?.[1][i]?.[j] ?? null,
    low: table?.[2]?.[i][j] ?? null, high: table?.[3]?.[i][j] ?? null,
  });
  const chosenStep = () => steps[Number(get("step").value)];
  const shownRuns = () => recognisers.map((r) => (
    r.runs.find((run) => runs[run].seed === get("seed").value) ?? r.runs[0]
  ));
  const shownIndex = (run) => Math.max(0, runs[run].steps.findLastIndex((step) => step <= chosenStep()));
  const display = (run) => (seeds.length > 1 ? run : runs[run].recogniser);
  const percent = (rate) => `${(100 * rate).toFixed(1)}\u00a0%`;
  const number = (step) => step.toLocaleString("en-GB");

  function cells(table, runX, runY, markBest) {
    const rows = runs[runX].labels, columns = runs[runY].labels;
    const why = study.reasons[measure()] ?? {};
    const found = [];
    rows.forEach((row, i) => {
      const values = table?.[0][i] ?? [];
      const known = values.filter((v) => v !== null && v !== undefined);
      const best = limit() === undefined ? Math.max(...known) : Math.min(...known);
      columns.forEach((column, j) => {
        const about = beside(table, i, j);
        const reason = why[runX]?.[row] || why[runY]?.[column] || "the study did not compare this pair";
        found.push({
          i, j, layer_x: row, layer_y: column, ...about, reason,
          best: markBest && about.value !== null && values.indexOf(best) === j,
        });
      });
    });
    return found;
  }

  function curve(kind, run) {
    const table = study[kind][run]?.[measure()];
    if (!table) return [];
    const { labels, steps: at } = runs[run];
    return labels.flatMap((layer, i) => at.map((step, k) => (
      { layer, i, step, ...beside(table, i, k) }
    ))).filter((point) => point.value !== null);
  }

  function matrixSpec(runX, runY) {
    const spec = structuredClone(charts().matrix), side = specs.matrix.width;
    const rows = runs[runX].labels, columns = runs[runY].labels;
    spec.width = columns.length * Math.round(side / columns.length);
    spec.height = rows.length * Math.round(side / rows.length);
    for (const layer of spec.layer) {
      layer.encoding.y.title = `${runs[runX].recogniser} layer`;
      layer.encoding.x.title = `${runs[runY].recogniser} layer`;
      layer.encoding.x.axis.labelAngle = columns.some((name) => name.length > 3) ? -60 : 0;
    }
    return spec;
  }

  // One figure: its place, its caption and its rows, both of which follow the controls.
  function add(panel, spec, title, detail, rows) {
    const figure = document.createElement("figure");
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.appendChild(document.createElement("b")).textContent = title;
    const text = caption.appendChild(document.createTextNode(""));
    const chart = figure.appendChild(document.createElement("div"));
    chart.className = spec.layer[0].mark.type === "rect" ? "chart matrix" : "chart";
    panel.append(figure);
    const entry = { view: null, panel: panel.dataset.panels };
    entry.update = async () => {
      const about = detail();
      text.data = about ? ` ${about}` : "";
      if (entry.view) await entry.view.data("rows", rows()).runAsync();
    };
    figures.push(entry);
    return draw(chart, { ...spec, datasets: { rows: rows() } }, title).then((view) => {
      entry.view = view;
      return entry.update();
    });
  }

  async function draw(chart, spec, name) {
    const options = {
      renderer: "svg", config: specs.config, mode: "vega-lite", downloadFileName: name.replace(/[^\w.-]+/g, "_"),
      actions: { export: true, source: false, compiled: false, editor: false },
    };
    const about = chart.closest("[data-about]")?.dataset.about ?? "";
    const description = `${about} ${chart.closest("figure").querySelector("figcaption b").textContent}`.trim();
    return (await vegaEmbed(chart, { description, ...spec }, options)).view;
  }

  function panel(name) {
    const place = document.querySelector(`[data-panels="${name}"]`);
    place.replaceChildren();
    return place;
  }

  function stateOf(run, k) {
    const about = runs[run], wer = about.test_wer[k] ?? about.dev_wer[k];
    const epoch = about.epoch[k] === null ? [] : [`epoch ${about.epoch[k].toFixed(1)}`];
    const split = about.test_wer[k] !== null ? "test" : "dev";
    const score = wer === null ? [] : [`${split} WER ${percent(wer)}`];
    return [`step ${number(about.steps[k])}`, ...epoch, ...score].join(", ");
  }

  const within = (kind, run, k) => study[kind][run]?.[String(runs[run].steps.at(k))]?.[measure()];

  let built;
  function build() {
    built = charts();
    const most = limit();
    get("scale-left").textContent = most === undefined ? "0" : most.toFixed(2);
    get("scale-right").textContent = most === undefined ? "1" : "0 (alike)";
    for (const note of document.querySelectorAll("[data-for]")) {
      note.hidden = (note.dataset.for === "distance") !== (most !== undefined);
    }
    figures.splice(0).forEach((entry) => entry.view?.finalize());
    const shown = shownRuns(), jobs = [];
    const place = panel("within"), far = panel("to_final"), near = panel("to_previous");
    for (const run of shown) {
      const name = display(run);
      jobs.push(add(place, matrixSpec(run, run), name, () => stateOf(run, shownIndex(run)),
        () => cells(within("within", run, shownIndex(run)), run, run, false)));
      for (const [where, kind] of [[far, "to_final"], [near, "to_previous"]]) {
        const about = () => (curve(kind, run).length ? "" : "not computed");
        jobs.push(add(where, charts()[kind], name, about, () => curve(kind, run)));
      }
    }
    const across = panel("across");
    for (const pair of study.across) {
      const [x, y] = [pair.x, pair.y];
      const sameRecogniser = runs[x].recogniser === runs[y].recogniser;
      if (!(shown.includes(x) && shown.includes(y)) && !(sameRecogniser && (shown.includes(x) || shown.includes(y)))) continue;
      const about = () => (pair[get("when").value] ? "" : "not computed in this state");
      jobs.push(add(across, matrixSpec(x, y), `${display(x)} and ${display(y)}`, about,
        () => cells(pair[get("when").value]?.[measure()], x, y, true)));
    }
    if (!across.children.length) across.textContent = "This study compared no two runs.";
    const base = panel("baselines");
    for (const run of shown) {
      const row = document.createElement("div");
      row.className = "panels";
      row.dataset.panels = "baselines";
      row.dataset.about = `Similarity of every two layers of ${display(run)}:`;
      const heading = document.createElement("p");
      heading.className = "row-title";
      heading.textContent = display(run);
      base.append(heading, row);
      for (const [kind, k, title] of [["within", -1, "Trained"], ["within", 0, "Untrained"],
        ["shuffled", -1, "Trained, utterances shuffled"]]) {
        const about = () => `step ${number(runs[run].steps.at(k))}`;
        jobs.push(add(row, matrixSpec(run, run), title, about, () => cells(within(kind, run, k), run, run, false)));
      }
    }
    return Promise.all(jobs);
  }

  function update(only) {
    get("step-text").textContent = `step ${number(chosenStep())}`;
    return Promise.all(figures.filter((entry) => !only || entry.panel === only).map((entry) => entry.update()));
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    get("play").textContent = "Play";
  }
  function play() {
    if (timer) return stop();
    const slider = get("step");
    if (slider.value === slider.max) slider.value = 0;
    get("play").textContent = "Stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      update("within");
      if (slider.value === slider.max) stop();
    }, 700);
    return update("within");
  }

  const slider = get("step");
  slider.max = steps.length - 1;
  slider.value = slider.max;
  for (const seed of seeds) get("seed").add(new Option(seed.replace(/^seed/, ""), seed));
  get("seed").value = seeds[0];
  get("seed-label").hidden = seeds.length < 2;
  slider.addEventListener("input", () => update("within"));
  // Distances have scales of their own, and so charts of their own.
  get("measure").addEventListener("change", () => (charts() === built ? update() : build().then(() => update())));
  get("when").addEventListener("change", () => update("across"));
  get("seed").addEventListener("change", () => build().then(() => update()));
  get("play").addEventListener("click", play);
  get("controls").addEventListener("submit", (event) => event.preventDefault());

  // What is folded would be missing on paper.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].filter((part) => !part.closest(".vega-embed"));
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded.splice(0)) part.open = false; });

  const scores = [...document.querySelectorAll("[data-score]")].map((place) => (
    draw(place, specs.scores[place.dataset.score], place.dataset.score)
  ));
  const fixed = [...document.querySelectorAll("[data-figure]")].map((place) => {
    const key = place.dataset.figure;
    return draw(place, specs.figures[key], key);
  });
  // Tests and other scripts wait for this, then read or drive the views.
  window.otoscope = { study, figures, ready: Promise.all([...fixed, ...scores, build().then(() => update())]) };
})();
