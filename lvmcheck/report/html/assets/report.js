"use strict";
// Draws the figures of a report from the JSON in the page. Texts are only ever set as text.
(() => {
  const data = JSON.parse(document.getElementById("drawn").textContent);
  const root = document.documentElement;
  const shown = data.runs.map(() => true);
  const figures = new Map(data.figures.map((figure) => [figure.key, figure]));
  const plots = new Map();
  const LETTERS = "abcdefghijklmnop";
  const MANY = 6;

  // -- theme -----------------------------------------------------------------------------------------------------------
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const button = document.getElementById("theme");

  function colours() {
    button.textContent = dark() ? "Light colours" : "Dark colours";
    const palette = data.palettes[dark() ? "dark" : "light"];
    for (const swatch of document.querySelectorAll("[data-swatch]")) {
      swatch.style.background = palette[swatch.dataset.swatch];
    }
    for (const host of plots.keys()) build(host);
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    colours();
  });
  system.addEventListener("change", colours);

  // -- numbers ---------------------------------------------------------------------------------------------------------
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
    return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
  };

  // -- one plot --------------------------------------------------------------------------------------------------------
  function visible(figure) {
    return figure.curves.filter((curve) => curve.run === null || shown[curve.run]);
  }

  function columns(figure, curves) {
    const tables = curves.map((curve) => [data.axes[curve.x], curve.y]);
    for (const band of figure.bands) tables.push([data.axes[band.x], band.low, band.high]);
    if (!tables.length) return [[]];
    const same = tables.every((table) => table[0] === tables[0][0]);
    return same ? [tables[0][0], ...tables.flatMap((table) => table.slice(1))] : uPlot.join(tables);
  }

  function reach(figure, low, high) {
    if (figure.y) return [figure.y[0] - 0.03, figure.y[1] + 0.03];
    let from = low ?? Infinity;
    let to = high ?? -Infinity;
    for (const level of figure.levels) {
      from = Math.min(from, level.y);
      to = Math.max(to, level.y);
    }
    if (!Number.isFinite(from) || !Number.isFinite(to)) return figure.log ? [1, 10] : [0, 1];
    if (figure.log) return uPlot.rangeLog(from > 0 ? from : 1e-9, to, 10, false);
    const room = to > from ? (to - from) * 0.06 : Math.abs(to) * 0.1 || 1;
    return [from - room, to + room];
  }

  function across(figure, low, high) {
    if (low === null || high === null) return [0, 1];
    let [from, to] = [low, high];
    for (const mark of figure.marks) [from, to] = [Math.min(from, mark.x), Math.max(to, mark.x)];
    return from === to ? [from - 1, to + 1] : [from, to];
  }

  function overlay(figure) {
    return (u) => {
      const { ctx, bbox } = u;
      const ratio = devicePixelRatio;
      const tint = { floor: style("--bad"), ceiling: style("--bad"), abort: style("--bad"), baseline: style("--soft"), stage: style("--soft"),
        stop: style("--warn"), lost: style("--bad") };
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      for (const mark of figure.marks) {
        const x = Math.round(u.valToPos(mark.x, "x", true));
        stroke(ctx, tint[mark.kind], 1.5 * ratio, [5 * ratio, 4 * ratio], [x, bbox.top, x, bbox.top + bbox.height]);
      }
      for (const level of figure.levels) {
        const y = Math.round(u.valToPos(level.y, "y", true));
        const dash = level.kind === "baseline" ? [2 * ratio, 4 * ratio] : [];
        let [from, to] = [bbox.left, bbox.left + bbox.width];
        if (level.x !== null) {
          const at = u.valToPos(level.x, "x", true);
          const half = Math.max(10 * ratio, bbox.width * 0.03);
          from = Math.max(from, Math.min(at, to) - half);
          to = Math.min(to, Math.max(at, bbox.left) + half);
          stroke(ctx, tint[level.kind], ratio * 0.6, [ratio, 3 * ratio], [to, y, bbox.left + bbox.width, y]);
        }
        stroke(ctx, tint[level.kind], (level.kind === "floor" || level.kind === "ceiling" ? 2.5 : 1.3) * ratio, dash, [from, y, to, y]);
      }
      ctx.restore();
      letters(u, figure, tint, ratio);
    };
  }

  function stroke(ctx, colour, width, dash, [x0, y0, x1, y1]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.stroke();
  }

  // A letter for each level, to the right of the plot, where no curve can run into it; those of close levels side by side.
  function letters(u, figure, tint, ratio) {
    const { ctx, bbox } = u;
    const groups = [];
    figure.levels
      .map((level, i) => ({ level, letter: LETTERS[i], y: u.valToPos(level.y, "y", true) }))
      .filter(({ y }) => y >= bbox.top - 1 && y <= bbox.top + bbox.height + 1)
      .sort((a, b) => a.y - b.y)
      .forEach((it) => {
        const group = groups.at(-1);
        if (group && it.y - group[0].y < 11 * ratio) group.push(it);
        else groups.push([it]);
      });
    ctx.save();
    ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const group of groups) {
      const y = group.reduce((sum, it) => sum + it.y, 0) / group.length;
      let x = bbox.left + bbox.width + 5 * ratio;
      for (const { level, letter } of group) {
        ctx.fillStyle = tint[level.kind];
        ctx.fillText(letter, x, y);
        x += ctx.measureText(letter).width + 1.5 * ratio;
      }
    }
    ctx.restore();
  }

  function build(host) {
    const figure = figures.get(host.closest("figure").dataset.figure);
    plots.get(host)?.destroy();
    host.textContent = "";
    const curves = visible(figure);
    const palette = data.palettes[dark() ? "dark" : "light"];
    const decades = (u, ticks) => ticks.map((tick) => (Number.isInteger(Math.round(1e6 * Math.log10(tick)) / 1e6) ? tick : null));
    const lines = { stroke: style("--grid"), width: 1 };
    const axis = { stroke: style("--soft"), grid: lines, ticks: { stroke: style("--grid"), width: 1 },
      font: "11px system-ui, sans-serif" };
    const points = { show: (u, i) => u.data[i].filter((value) => value !== null && value !== undefined).length <= 30, size: 5 };
    const series = [{}];
    curves.forEach((curve, i) => {
      const colour = palette[(curve.run ?? i) % palette.length];
      series.push({ label: curve.name, stroke: colour, width: curves.length > 8 ? 1.2 : 1.8, spanGaps: false,
        points: { ...points, fill: colour, stroke: colour } });
    });
    const bands = figure.bands.map((_, i) => {
      const low = curves.length + 1 + 2 * i;
      series.push(...[0, 1].map(() => ({ stroke: "transparent", width: 0, points: { show: false } })));
      return { series: [low + 1, low], fill: dark() ? "rgba(150,170,190,.22)" : "rgba(70,90,110,.16)" };
    });
    const options = {
      width: host.clientWidth, height: host.clientHeight, legend: { show: false }, padding: [8, 14 + 8 * Math.min(5, figure.levels.length), 0, 0],
      scales: {
        x: { time: false, range: (u, low, high) => (u.zoomed ? [low, high] : across(figure, low, high)) },
        y: { distr: figure.log ? 3 : 1, range: (u, low, high) => reach(figure, low, high) },
      },
      axes: [
        { ...axis, size: 34, label: figure.x, labelSize: 14, labelFont: "11px system-ui, sans-serif", labelGap: -4,
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8] },
        { ...axis, size: 66, grid: figure.log ? { ...lines, filter: decades } : lines,
          ticks: figure.log ? { ...lines, filter: decades } : lines, values: (u, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) },
      ],
      series, bands,
      cursor: { y: false, focus: { prox: 30 }, drag: { x: true, y: false } },
      focus: { alpha: curves.length > 1 ? 0.25 : 1 },
      hooks: {
        draw: [overlay(figure)],
        setSelect: [(u) => { u.zoomed = u.select.width > 0; }],
        setCursor: [(u) => tell(host, u, figure, curves)],
        setSeries: [(u, i) => { u.nearest = i; tell(host, u, figure, curves); }],
      },
    };
    const plot = new uPlot(options, columns(figure, curves), host);
    plot.over.addEventListener("dblclick", () => { plot.zoomed = false; });
    for (const canvas of host.querySelectorAll("canvas")) canvas.setAttribute("aria-hidden", "true");
    plots.set(host, plot);
    tell(host, plot, figure, curves);
  }

  // -- what stands below it --------------------------------------------------------------------------------------------
  function tell(host, u, figure, curves) {
    const out = host.parentElement.querySelector(".readout");
    const at = u.cursor?.idx ?? null;
    out.textContent = "";
    if (!u.data[0].length || !curves.length) return;
    const palette = data.palettes[dark() ? "dark" : "light"];
    const add = (text, colour) => {
      const span = document.createElement("span");
      if (colour) {
        const swatch = document.createElement("i");
        swatch.className = "swatch";
        swatch.style.background = colour;
        span.append(swatch);
      }
      span.append(text);
      out.append(span);
    };
    const said = curves.map((curve, i) => ({ curve, i, value: at === null ? curve.y.at(-1) : u.data[i + 1][at] }));
    add(at === null ? "last" : `${figure.x} ${number(u.data[0][at])}`);
    if (said.length <= MANY) {
      for (const { curve, i, value } of said) {
        if (value !== undefined) add(`${curve.name} ${number(value)}`, palette[(curve.run ?? i) % palette.length]);
      }
      return;
    }
    const values = said.map((it) => it.value).filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
    if (values.length) {
      const middle = values[Math.floor(values.length / 2)];
      add(`${values.length} curves: ${number(values[0])} to ${number(values[values.length - 1])}, median ${number(middle)}`);
    }
    const near = said[(u.nearest ?? 0) - 1];
    if (near && near.value !== undefined) {
      add(`${near.curve.name} ${number(near.value)}`, palette[(near.curve.run ?? near.i) % palette.length]);
    }
  }

  function keys(event) {
    const plot = plots.get(event.currentTarget);
    if (!plot || event.target !== event.currentTarget) return;
    const last = plot.data[0].length - 1;
    const now = plot.cursor.idx;
    const next = { ArrowRight: Math.min(last, (now ?? -1) + 1), ArrowLeft: Math.max(0, (now ?? last + 1) - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") {
      plot.zoomed = false;
      plot.setData(plot.data, true);
    } else if (next !== undefined && last >= 0) {
      event.preventDefault();
      plot.setCursor({ left: plot.valToPos(plot.data[0][next], "x"), top: plot.over.clientHeight / 2 });
    }
  }

  // -- the same as a table ---------------------------------------------------------------------------------------------
  function table(details) {
    details.querySelector(".wide")?.remove();
    if (!details.open) return;
    const box = details.closest("figure");
    const figure = figures.get(box.dataset.figure);
    const curves = visible(figure);
    const rows = columns({ bands: [] }, curves);
    const wide = document.createElement("div");
    wide.className = "wide";
    wide.tabIndex = 0;
    wide.setAttribute("role", "region");
    wide.setAttribute("aria-label", `Values of ${figure.title}`);
    const body = document.createElement("table");
    const head = body.createTHead().insertRow();
    for (const name of [figure.x, ...curves.map((curve) => curve.name)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const lines = body.createTBody();
    rows[0].forEach((x, i) => {
      const line = lines.insertRow();
      const first = document.createElement("th");
      first.scope = "row";
      first.textContent = number(x);
      line.append(first);
      for (let c = 1; c < rows.length; c++) {
        const value = rows[c][i];
        line.insertCell().textContent = value === null ? "not finite" : value === undefined ? "" : String(value);
      }
    });
    wide.append(body);
    details.append(wide);
  }

  // -- runs shown ------------------------------------------------------------------------------------------------------
  function redraw() {
    for (const host of plots.keys()) build(host);
    for (const details of document.querySelectorAll("details.values[open]")) table(details);
  }
  const boxes = [...document.querySelectorAll("input[data-run]")];
  for (const box of boxes) {
    box.checked = true;
    box.addEventListener("change", () => { shown[box.dataset.run] = box.checked; redraw(); });
  }
  for (const all of document.querySelectorAll("[data-all]")) {
    all.addEventListener("click", () => {
      for (const box of boxes) shown[box.dataset.run] = box.checked = Boolean(all.dataset.all);
      redraw();
    });
  }

  // -- begin: a plot is made when it comes near the window -------------------------------------------------------------
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !plots.has(target)) build(target);
    }
    root.dataset.drawn ??= String(Math.round(performance.now()));
  }, { rootMargin: "300px" });
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target);
      if (plot && target.clientWidth && plot.width !== target.clientWidth) {
        plot.setSize({ width: target.clientWidth, height: target.clientHeight });
      }
    }
  });
  for (const host of document.querySelectorAll(".plot")) {
    seen.observe(host);
    sized.observe(host);
    host.addEventListener("keydown", keys);
  }
  addEventListener("beforeprint", () => {
    for (const host of document.querySelectorAll(".plot")) if (!plots.has(host)) build(host);
  });
  for (const details of document.querySelectorAll("details.values")) {
    details.addEventListener("toggle", () => table(details));
  }
  colours();
})();
