// Draws the page's figures with plotly. Everything drawn was decided in Python (report/views.py says what a figure is);
// this only picks the view that the controls name, resolves pooled lists, and dresses it for the screen or for paper.
(function () {
  "use strict";

  const payload = JSON.parse(document.getElementById("isostate-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const print = window.matchMedia("print");
  const touch = window.matchMedia("(pointer: coarse)");
  const NARROW = 520; // pixels of a drawing below which it shrinks its type and margins
  const THEMES = {
    light: { ink: "#16191d", soft: "#5b636c", grid: "#e6e9ec", line: "#8b939b", paper: "#ffffff" },
    dark: { ink: "#e6e9ec", soft: "#9aa3ac", grid: "#2a3036", line: "#69727b", paper: "#1d2125" },
  };
  const FONT = getComputedStyle(document.body).fontFamily;
  const CONFIG = { displayModeBar: false, plotlyServerURL: "", topojsonURL: "none", doubleClick: "reset+autosize" };

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A deep copy (plotly writes into what it draws) with {"pool": i} replaced by the list or text it stands for.
  function resolved(value) {
    if (Array.isArray(value)) return value.map(resolved);
    if (value === null || typeof value !== "object") return value;
    if (typeof value.pool === "number") return resolved(payload.pool[value.pool]);
    if (Array.isArray(value.lines)) return value.lines.map((index) => payload.lines[index]).join("<br>");
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item)]));
  }

  function merged(base, extra) {
    const isTable = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
    const result = { ...base };
    for (const [key, value] of Object.entries(extra || {})) {
      result[key] = isTable(value) && isTable(result[key]) ? merged(result[key], value) : value;
    }
    return result;
  }

  function chosen(figure, chooses) {
    return figure.controls.filter((control) => control.role === chooses);
  }

  // Controls worth naming: the page's head says what all runs were trained on, where it is one and the same.
  function told(figure) {
    return figure.controls.filter((control) => control.key !== "condition" || control.options.length > 1);
  }

  // What a figure shows at these options ({key: index}): {data, layout, note} or {missing}.
  function drawing(figure, at) {
    const key = chosen(figure, "view").map((control) => at[control.key]).join(".");
    const view = resolved(figure.views[key]);
    if (view.missing) return view;
    let { data, layout } = view;
    const filters = chosen(figure, "filter");
    for (const control of filters) {
      const wanted = control.options[at[control.key]].value;
      data = data.filter((trace) => wanted === "" ? !trace.meta.alone : trace.meta[control.key] === wanted);
    }
    if (filters.length) nameOnce(data);
    for (const control of chosen(figure, "swap")) {
      const option = control.options[at[control.key]].value;
      for (const trace of data) trace[control.key] = trace.swap[control.key][option];
      layout = merged(layout, view.swap[control.key][option]);
    }
    for (const trace of data) delete trace.swap;
    const seen = data.some((trace) => !trace.y || trace.type === "heatmap" || trace.y.some((y, i) => y !== null && trace.x[i] !== null));
    const { note, rows, panels } = view;
    return seen ? { data, layout, note, rows, panels } : { missing: "No run has such data." };
  }

  // One entry a name in the legend, whichever of its lines are left.
  function nameOnce(data) {
    const named = new Set();
    for (const trace of data) {
      trace.showlegend = !named.has(trace.legendgroup);
      named.add(trace.legendgroup);
    }
  }

  // Where each panel of a drawing this wide stands, in shares of its area; how high the drawing is with `legend` on top.
  function sheet(panels, legend, width) {
    const narrow = width < NARROW;
    const count = panels.titles.length;
    const columns = Math.min(count, narrow ? panels.narrow : panels.columns);
    const rows = Math.ceil(count / columns);
    const title = Math.max(...panels.titles.map((text) => 16 * text.split("<br>").length)); // pixels
    const margin = { l: narrow ? 48 : 58, r: 10, t: title + 8, b: 46, pad: 0 };
    const gap = { x: panels.shared ? 14 : 80, y: title + (panels.shared ? 16 : 66) };
    const across = (width - margin.l - margin.r - (columns - 1) * gap.x) / columns;
    const up = Math.max(columns > 1 && narrow ? 120 : 170, Math.min(310, 0.78 * across));
    const area = { x: width - margin.l - margin.r, y: rows * up + (rows - 1) * gap.y };
    const places = panels.titles.map((title, i) => {
      const [column, row] = [i % columns, Math.floor(i / columns)];
      const [left, top] = [column * (across + gap.x), area.y - row * (up + gap.y)];
      return {
        title, x: [left / area.x, (left + across) / area.x], y: [Math.max(0, (top - up) / area.y), top / area.y],
        outer: { x: !panels.shared || i + columns >= count, y: !panels.shared || column === 0 },
      };
    });
    return { places, margin, up, height: area.y + margin.t + margin.b + legend, above: 1 + (title + 8) / area.y };
  }

  // Rows of a legend, in pixels; a guess, which plotly's own margin makes good.
  function legendHeight(content, width) {
    const named = content.data.filter((trace) => trace.showlegend !== false && trace.name);
    if (content.layout.showlegend === false || !named.length) return 0;
    return 22 * Math.ceil(named.reduce((sum, trace) => sum + 7 * trace.name.length + 46, 0) / width);
  }

  // The layout of a drawing of several panels: their axes side by side, a title over each.
  function inPanels(layout, places, theme, size) {
    const titles = places.map(({ title, x, y }) => ({
      text: title, x: x[0], y: y[1], xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom",
      xshift: -2, align: "left", showarrow: false, font: { size: 0.92 * size, color: theme.soft },
    }));
    layout.annotations = [...(layout.annotations || []), ...titles];
    places.forEach(({ x, y, outer }, i) => {
      const mark = i === 0 ? "" : String(i + 1);
      for (const [axis, domain, anchor] of [["x", x, "y"], ["y", y, "x"]]) {
        const name = axis + "axis" + mark;
        const hidden = outer[axis] ? {} : { showticklabels: false, title: { text: "" } };
        layout[name] = merged(layout[name], { domain, anchor: anchor + mark, automargin: false, ...hidden });
      }
    });
  }

  function dressed(content, theme, width, height) {
    const narrow = width < NARROW;
    const size = narrow ? 11 : 12.5;
    const axis = {
      gridcolor: theme.grid, linecolor: theme.line, tickcolor: theme.line, showline: true, ticks: "outside", ticklen: 4,
      zeroline: false, automargin: true, title: { standoff: 10 }, tickfont: { color: theme.soft }, fixedrange: touch.matches,
    };
    const look = {
      width, height, autosize: false, hovermode: "closest", dragmode: touch.matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: FONT, size, color: theme.ink },
      margin: { l: 8, r: narrow ? 8 : 16, t: 8, b: 8 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)", itemclick: "toggle" },
      hoverlabel: { bgcolor: theme.paper, font: { color: theme.ink, size: 12, family: FONT }, align: "left", namelength: -1 },
      xaxis: axis, yaxis: axis,
    };
    for (const name of Object.keys(content.layout)) if (/^[xy]axis[0-9]+$/.test(name)) look[name] = axis; // a second drawing beside
    const data = content.data;
    const layout = merged(look, content.layout);
    if (content.panels) {
      const { places, margin, above } = sheet(content.panels, 0, width);
      inPanels(layout, places, theme, size);
      Object.assign(layout, { margin, legend: { ...layout.legend, y: above } });
    }
    for (const trace of data) {
      if (trace.type !== "heatmap") continue;
      const bar = { thickness: 12, outlinewidth: 0, tickfont: { color: theme.soft }, tickcolor: theme.line, title: { font: { color: theme.ink } } };
      trace.colorbar = merged(trace.colorbar, bar);
      const cell = (width - (narrow ? 70 : 150)) / trace.x.length;
      const type = Math.min(size, cell / 3.4); // a number of five characters fits its cell
      if (type < 9) delete trace.texttemplate;
      else trace.textfont = { size: type };
      trace.showscale = !narrow || !trace.texttemplate;
      for (const name of ["xaxis", "yaxis"]) layout[name] = merged(layout[name], { showgrid: false, showline: false, ticks: "" });
    }
    return { data, layout };
  }

  // A few rows of cells or bars need not fill the canvas; panels need what they need.
  function tallest(content, width) {
    if (content.panels) return sheet(content.panels, legendHeight(content, width), width).height;
    const names = () => new Set(content.data.flatMap((trace) => trace.y).filter((name) => name !== null));
    const rows = content.data[0].type === "heatmap" ? content.data[0].y.length : content.rows ? names().size : Infinity;
    return 160 + 90 * rows;
  }

  // One figure on the screen.
  function mount(figure) {
    const root = document.getElementById("figure-" + figure.id);
    const canvas = root.querySelector(".canvas");
    const plot = canvas.appendChild(element("div", "drawing"));
    const missing = canvas.appendChild(element("p", "missing"));
    const at = Object.fromEntries(figure.controls.map((control) => [control.key, control.default]));
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", figure.title);

    function draw() {
      const content = drawing(figure, at);
      missing.textContent = content.missing || "";
      missing.hidden = !content.missing;
      plot.hidden = Boolean(content.missing);
      root.querySelector(".note").textContent = content.note || "";
      if (content.missing) return;
      const height = tallest(content, canvas.clientWidth);
      canvas.style.maxHeight = height < Infinity ? height + "px" : "";
      canvas.style.height = content.panels ? height + "px" : "";
      const { data, layout } = dressed(content, dark.matches ? THEMES.dark : THEMES.light, canvas.clientWidth, canvas.clientHeight);
      Plotly.react(plot, data, layout, CONFIG);
    }

    const controls = root.querySelector(".controls");
    for (const control of told(figure)) {
      controls.append(controlElement(figure, control, (index) => { at[control.key] = index; draw(); }));
    }
    root.append(exportButton(figure, at));
    draw();
    return draw;
  }

  function controlElement(figure, control, choose) {
    const box = element("div", control.options.length > 1 ? "control " + control.kind : "control");
    const name = figure.id + "-" + control.key;
    const label = box.appendChild(element("label", "label", control.label));
    if (control.options.length === 1) {
      box.append(element("span", "fixed", control.options[0].label));
      return box;
    }
    if (control.kind === "tabs") box.append(tabs(control, choose));
    else if (control.kind === "slider") slider(box, label, control, choose);
    else {
      const select = box.appendChild(element("select"));
      for (const option of control.options) select.add(new Option(option.label, option.value));
      select.selectedIndex = control.default;
      select.addEventListener("change", () => choose(select.selectedIndex));
    }
    const field = box.querySelector("select, input");
    if (field) { field.id = name; label.htmlFor = name; }
    return box;
  }

  function tabs(control, choose) {
    const list = element("div", "tabs");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", control.label);
    const buttons = control.options.map((option) => list.appendChild(element("button", "", option.label)));
    function open(index) {
      buttons.forEach((button, i) => {
        button.setAttribute("aria-selected", String(i === index));
        button.tabIndex = i === index ? 0 : -1;
      });
    }
    buttons.forEach((button, index) => {
      button.type = "button";
      button.setAttribute("role", "tab");
      button.addEventListener("click", () => { open(index); choose(index); });
      button.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        const next = buttons[(index + step + buttons.length) % buttons.length];
        next.focus();
        next.click();
      });
    });
    open(control.default);
    return list;
  }

  function slider(box, label, control, choose) {
    const output = element("output", "", control.options[control.default].label);
    label.append(": ", output);
    const input = box.appendChild(element("input"));
    Object.assign(input, { type: "range", min: 0, max: control.options.length - 1, step: 1, value: control.default });
    input.addEventListener("input", () => {
      output.textContent = control.options[input.valueAsNumber].label;
      input.setAttribute("aria-valuetext", output.textContent);
      choose(input.valueAsNumber);
    });
  }

  function exportButton(figure, at) {
    const button = element("button", "export", "Save as SVG");
    button.type = "button";
    button.addEventListener("click", () => {
      const content = drawing(figure, at);
      if (content.missing) return;
      const size = { width: 800, height: content.panels ? tallest(content, 800) : 480 };
      const { data, layout } = dressed(content, THEMES.light, size.width, size.height);
      Plotly.downloadImage({ data, layout: { ...layout, paper_bgcolor: "#ffffff" } }, { format: "svg", filename: "isostate-" + figure.id, ...size });
    });
    return button;
  }

  // On paper: every tab, each at the controls' defaults, in light colours; taken away again afterwards.
  function drawForPaper() {
    if (document.querySelector(".printed")) return;
    for (const folded of document.querySelectorAll("details:not([open])")) {
      folded.dataset.unfolded = "";
      folded.open = true;
    }
    for (const figure of figures) {
      const root = document.getElementById("figure-" + figure.id);
      const at = Object.fromEntries(figure.controls.map((control) => [control.key, control.default]));
      const pages = figure.controls.find((control) => control.kind === "tabs") || { key: "", options: [{}] };
      for (const index of pages.options.keys()) {
        const here = { ...at, [pages.key]: index };
        const content = drawing(figure, here);
        const box = root.appendChild(element("div", "printed"));
        const shown = told(figure).map((control) => control.label + ": " + control.options[here[control.key]].label);
        box.append(element("p", "shown", shown.join("; ") + (content.missing ? ". " + content.missing : "")));
        if (content.missing) continue;
        const height = content.panels ? tallest(content, 670) : Math.min(380, tallest(content));
        const { data, layout } = dressed(content, THEMES.light, 670, height);
        Plotly.newPlot(box.appendChild(element("div")), data, layout, { ...CONFIG, staticPlot: true });
        if (content.note) box.append(element("p", "note", content.note));
      }
    }
  }

  function clearPaper() {
    for (const folded of document.querySelectorAll("details[data-unfolded]")) {
      delete folded.dataset.unfolded;
      folded.open = false;
    }
    for (const box of document.querySelectorAll(".printed")) {
      for (const plot of box.querySelectorAll(".js-plotly-plot")) Plotly.purge(plot);
      box.remove();
    }
  }

  function sortable(table) {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (body) => body.rows[0].cells[column].dataset.sort;
      const bodies = [...table.tBodies].sort((a, b) => ordered(value(a), value(b), falling));
      table.append(...bodies);
    }));
  }

  // Numbers as numbers, names as names; what is not known comes last either way.
  function ordered(a, b, falling) {
    if (a === "" || b === "") return (a === "") - (b === "");
    const numeric = !Number.isNaN(Number(a)) && !Number.isNaN(Number(b));
    const order = numeric ? Number(a) - Number(b) : a.localeCompare(b);
    return falling ? -order : order;
  }

  // One figure at a time, so that the page can be read and scrolled while the later ones are drawn.
  function mountFrom(index) {
    if (index === figures.length) return;
    draws.push(mount(figures[index]));
    setTimeout(mountFrom, 0, index + 1);
  }

  const figures = payload.figures.filter((figure) => !figure.empty);
  const draws = [];
  document.querySelectorAll("table").forEach(sortable);
  mountFrom(0);

  const redraw = () => draws.forEach((draw) => draw());
  let waiting = 0;
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's address bar came or went
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 120);
  });
  dark.addEventListener("change", redraw);
  print.addEventListener("change", () => (print.matches ? drawForPaper() : clearPaper()));
  window.addEventListener("beforeprint", drawForPaper);
  window.addEventListener("afterprint", clearPaper);
})();
