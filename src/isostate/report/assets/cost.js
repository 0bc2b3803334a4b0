// Computes a cost sheet at what the sliders say: the same numbers by the same steps as costs/sheet.py, from the
// coefficients of costs/closed_form.py. Counts are BigInt, since FLOPs pass what a double holds exactly.
(function () {
  "use strict";

  const payload = JSON.parse(document.getElementById("isostate-data").textContent);
  const { program, subject, controls, hardware, bytes, kept, precisions, start } = payload;
  const LARGEST_BATCH = 2 ** 24;
  const [GRADIENT, MOMENT, MASTER] = [4n, 8n, 4n]; // bytes a parameter, as in costs/sheet.py

  // Half to even, as Python rounds.
  function rounded(x) {
    const below = Math.floor(x);
    const rest = x - below;
    return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  }

  const big = (x) => BigInt(x);
  const least = (a, b) => (a < b ? a : b);
  const most = (a, b) => (a > b ? a : b);

  function termValue(term, decoding, batch, context) {
    if (term.at !== undefined && context !== term.at) return 0n;
    const [b, s] = [big(batch), big(context)];
    let result = b ** big(term.b || 0) * s ** big(term.s || 0);
    if (term.window) result *= least(big(term.window[0]), s) ** big(term.window[1]);
    if (term.below && context >= term.below) return 0n;
    if (term.chunk) {
      const block = least(big(term.chunk[0]), s);
      result *= ((s + block - 1n) / block) * block ** big(term.chunk[1]);
    }
    if (term.experts) {
      const [experts, chosen] = term.experts;
      const tokens = decoding ? batch : batch * context;
      result *= big(rounded(experts * (1 - (1 - chosen / experts) ** tokens)));
    }
    return result;
  }

  // {term: coefficient} as [[index, numerator, denominator]], read once.
  function parsed(column) {
    return Object.entries(column).map(([index, text]) => {
      const [above, below] = text.split("/");
      return [Number(index), big(above), big(below || 1)];
    });
  }

  function summed(column, values) {
    let [above, below] = [0n, 1n];
    for (const [index, numerator, denominator] of column) {
      above = above * denominator + numerator * values[index] * below;
      below *= denominator;
    }
    return above / below; // a whole number: Python has checked that it is
  }

  const KEYS = ["matmul", "other", "moved", "weights", "state"];
  const passes = {};
  for (const phase of ["forward", "decode"]) {
    if (program[phase]) {
      passes[phase] = program[phase].map((one) => ({
        name: one.name, times: big(one.times), ...Object.fromEntries(KEYS.map((key) => [key, parsed(one[key])])),
      }));
    }
  }
  const COUNTS = ["train_matmul", "train_other", "state", "growth", "ratio_weight", "ratio_state"];
  const counts = Object.fromEntries(COUNTS.map((key) => [key, parsed(program[key])]));

  const valuesAt = (decoding, batch, context) =>
    program.terms.map((term) => termValue(term, decoding, batch, context));

  function operatorsAt(phase, at, batch) {
    const values = valuesAt(phase === "decode", batch, at.context);
    const size = big(bytes[at.dtype]);
    return passes[phase].map((one) => ({
      name: one.name,
      times: one.times,
      matmul: summed(one.matmul, values),
      other: summed(one.other, values),
      moved: size * summed(one.moved, values),
      weights: size * summed(one.weights, values),
      state: size * summed(one.state, values),
    }));
  }

  function timed(operators, at, device) {
    const peak = device.peaks[at.dtype];
    const [matmulPeak, otherPeak] = [peak * device.compute, (device.peaks.fp32 || peak) * device.compute];
    const bandwidth = device.bandwidth * device.memory_share;
    return operators.map((one) => ({
      compute: Number(one.times) * (Number(one.matmul) / matmulPeak + Number(one.other) / otherPeak),
      memory: Number(one.times * one.moved) / bandwidth,
    }));
  }

  function passNumbers(name, at, device) {
    const operators = operatorsAt(name, at, at.batch);
    const total = (key) => operators.reduce((sum, one) => sum + one.times * one[key], 0n);
    const found = {
      [name + ".matmul_flops"]: total("matmul"), [name + ".other_flops"]: total("other"),
      [name + ".moved_bytes"]: total("moved"), [name + ".weight_bytes"]: total("weights"),
      [name + ".state_bytes"]: total("state"),
    };
    if (device.peaks[at.dtype]) {
      const bound = { compute: 0, memory: 0 };
      for (const one of timed(operators, at, device)) {
        bound[one.compute >= one.memory ? "compute" : "memory"] += Math.max(one.compute, one.memory);
      }
      found[name + ".seconds"] = bound.compute + bound.memory;
      found[name + ".compute_bound_s"] = bound.compute;
      found[name + ".memory_bound_s"] = bound.memory;
      found[name + ".bound"] = bound.compute >= bound.memory ? "compute" : "memory";
    }
    return found;
  }

  // The smallest batch whose decode step computes longer than it moves bytes.
  function criticalBatch(at, device) {
    const computes = (batch) => {
      const times = timed(operatorsAt("decode", at, batch), at, device);
      const total = (key) => times.reduce((sum, one) => sum + one[key], 0);
      return total("compute") >= total("memory");
    };
    if (!computes(LARGEST_BATCH)) return null;
    let [low, high] = [0, LARGEST_BATCH];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (computes(middle)) high = middle; else low = middle;
    }
    return big(high);
  }

  function parameterNumbers(at) {
    const [n, size] = [big(subject.params.total), big(bytes[at.dtype])];
    const [weights, gradients] = [n * size, n * most(GRADIENT, size)];
    const optimizer = n * most(MOMENT, 2n * size) + (size < 4n ? n * MASTER : 0n);
    return {
      "params.total": n, "params.non_embedding": big(subject.params.non_embedding),
      "params.active": big(subject.params.active), weights_bytes: weights, gradients_bytes: gradients,
      optimizer_bytes: optimizer, training_bytes: weights + gradients + optimizer,
    };
  }

  function trainingNumbers(at, device, values) {
    const step = summed(counts.train_matmul, values);
    const total = (step * big(at.tokens)) / (big(at.batch) * big(at.context));
    const found = {
      "training.matmul_flops": step, "training.other_flops": summed(counts.train_other, values),
      "training.total_flops": total,
    };
    const precision = precisions[at.dtype];
    const told = (device.here && kept[precision + " here"]) || kept[precision];
    if (told) {
      const [all, layer, peak] = told[at.recompute][at.context][at.batch];
      Object.assign(found, { activation_bytes: big(all), activation_layer_bytes: big(layer), peak_bytes: big(peak) });
    }
    const peak = device.peaks[at.dtype];
    if (!peak) return found;
    const seconds = Number(total) / (at.devices * peak * at.utilised);
    const hours = (at.devices * seconds) / 3600;
    const [low, high] = device.price ? device.price.map((each) => each * hours) : [null, null];
    const kwh = device.power === null ? null : (device.power * at.devices * seconds) / 3.6e6;
    return {
      ...found, "training.seconds": seconds, "training.dollars_low": low, "training.dollars_high": high,
      "training.kwh": kwh,
    };
  }

  function stateNumbers(at, found, values) {
    const [size, elements] = [big(bytes[at.dtype]), summed(counts.state, values)];
    const own = {
      "state.elements": elements, "state.sequence_bytes": size * elements,
      "state.token_bytes": size * summed(counts.growth, values), "state.batch_bytes": big(at.batch) * size * elements,
    };
    own.generation_bytes = found.weights_bytes + own["state.batch_bytes"];
    if (subject.keeps_state) {
      own["ratio.weight_flops"] = summed(counts.ratio_weight, values);
      own["ratio.state_flops"] = summed(counts.ratio_state, values);
      own["ratio.value"] = Number(own["ratio.weight_flops"]) / Number(own["ratio.state_flops"]);
    }
    return own;
  }

  // Every number of costs/sheet.py at this setting, by the same names.
  function numbersAt(at) {
    const device = hardware[at.hardware];
    const values = valuesAt(false, at.batch, at.context);
    const found = {
      ...parameterNumbers(at), ...passNumbers("forward", at, device), ...trainingNumbers(at, device, values),
      memory_bytes: device.memory === null ? null : big(device.memory),
    };
    if (!passes.decode) return found;
    Object.assign(found, passNumbers("decode", at, device), stateNumbers(at, found, values));
    found["decode.token_flops"] = found["decode.matmul_flops"] / big(at.batch);
    if (device.peaks[at.dtype]) {
      found["decode.tokens_per_s"] = at.batch / found["decode.seconds"];
      found["decode.critical_batch"] = criticalBatch(at, device);
    }
    const each = found["state.sequence_bytes"];
    const known = found.memory_bytes !== null && each > 0n;
    found["decode.largest_batch"] = known ? most(0n, found.memory_bytes - found.weights_bytes) / each : null;
    return found;
  }

  function alarmsAt(at, found) {
    const [device, said] = [hardware[at.hardware], []];
    if (!device.peaks[at.dtype]) said.push(`${at.hardware}: the hardware table has no ${at.dtype} peak, so no times`);
    const memory = found.memory_bytes;
    if (memory !== null && found.weights_bytes > memory) {
      const needed = (found.weights_bytes + memory - 1n) / memory;
      said.push(`the weights alone are ${sized(found.weights_bytes, "B")}, ${at.hardware} holds ` +
        `${sized(memory, "B")}: at least ${needed} of them`);
    } else if (memory !== null && found.generation_bytes > memory) {
      said.push(`weights and state are ${sized(found.generation_bytes, "B")}, ${at.hardware} holds ` +
        `${sized(memory, "B")}: at this context ${whole(found["decode.largest_batch"])} sequences fit`);
    }
    if (!subject.limited && at.context > subject.context) {
      said.push(`a context of ${whole(at.context)} is beyond the ${whole(subject.context)} tokens it was made for`);
    }
    return said;
  }

  const whole = (x) => x.toString().replace(/\B(?=(\d{3})+$)/g, ",");
  const three = (x) => (x >= 999.5 ? String(Math.round(x)) : String(Number(x.toPrecision(3))));

  function sized(x, unit) {
    const value = Number(x);
    for (const [prefix, factor] of [["P", 1e15], ["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
      if (value >= 1e18) break;
      if (value >= 0.9995 * factor) return `${three(value / factor)} ${prefix}${unit}`;
    }
    if (value < 1e18) return `${three(value)} ${unit}`;
    const power = Math.floor(Math.log10(value));
    const raised = String(power).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
    return `${three(value / 10 ** power)} · 10${raised} ${unit}`;
  }

  function timeText(x) {
    const units = [["µs", 1e-6, 999.5e-6], ["ms", 1e-3, 0.9995], ["s", 1, 60], ["min", 60, 3600], ["h", 3600, 86400],
      ["days", 86400, 31557600], ["years", 31557600, Infinity]];
    const [unit, factor] = units.find(([, , end]) => x < end);
    return `${three(x / factor)} ${unit}`;
  }

  const WRITTEN = {
    count: (x) => whole(x),
    flop: (x) => sized(x, "FLOP"),
    bytes: (x) => sized(x, "B"),
    seconds: timeText,
    ratio: (x) => three(x),
    rate: (x) => sized(x, "tokens/s"),
    dollars: (x) => "$" + sized(x, "").trim().replace(" G", " B").replace(" ", ""),
    kwh: (x) => sized(1000 * x, "Wh"),
    word: (x) => x + "-bound",
  };
  const ABSENT = { "decode.critical_batch": "at no batch" };

  function showNumbers(found) {
    for (const cell of document.querySelectorAll("[data-number]")) {
      const key = cell.dataset.number;
      const known = found[key] !== undefined && found[key] !== null;
      cell.dataset.value = known ? String(found[key]) : "";
      cell.textContent = known ? WRITTEN[cell.dataset.unit](found[key]) : (found[key] === null && ABSENT[key]) || "–";
    }
  }

  function showOperators(at) {
    for (const phase of Object.keys(passes)) {
      const rows = {};
      const totals = { flops: 0n, bytes: 0n };
      for (const one of operatorsAt(phase, at, at.batch)) {
        const row = (rows[one.name] = rows[one.name] || { flops: 0n, bytes: 0n });
        const here = { flops: one.times * (one.matmul + one.other), bytes: one.times * one.moved };
        for (const key of ["flops", "bytes"]) {
          row[key] += here[key];
          totals[key] += here[key];
        }
      }
      for (const cell of document.querySelectorAll(`[data-phase="${phase}"]`)) {
        const { operator, kind } = cell.dataset;
        const amount = rows[operator] ? rows[operator][kind] : 0n;
        const share = totals[kind] ? Number(amount) / Number(totals[kind]) : 0;
        cell.dataset.value = String(amount);
        cell.querySelector(".amount").textContent = amount ? sized(amount, kind === "flops" ? "FLOP" : "B") : "–";
        cell.querySelector(".share").textContent = amount ? `${(100 * share).toFixed(1)} %` : "";
        cell.querySelector(".bar").style.width = `${(2.8 * share).toFixed(3)}rem`;
      }
    }
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function update() {
    const found = numbersAt(at);
    showNumbers(found);
    showOperators(at);
    document.getElementById("alarms").textContent = alarmsAt(at, found).join("; ");
  }

  // A slider over listed values, or a list to choose from.
  function mount(control) {
    const slides = control.kind === "slider";
    const box = element("label", "control " + control.kind);
    const label = box.appendChild(element("span", "label", control.label + " "));
    const input = box.appendChild(element(slides ? "input" : "select"));
    input.id = "set-" + control.key;
    const shown = slides ? label.appendChild(element("output")) : null;
    if (slides) {
      Object.assign(input, { type: "range", min: 0, max: control.values.length - 1, step: 1 });
      input.disabled = control.values.length === 1;
    } else {
      control.values.forEach((value, index) => {
        const option = input.appendChild(element("option", "", control.labels[index]));
        option.value = index;
      });
    }
    input.value = control.values.indexOf(start[control.key]);
    const read = () => {
      const index = Number(input.value);
      at[control.key] = control.values[index];
      if (shown) shown.textContent = control.labels[index];
      if (slides) input.setAttribute("aria-valuetext", control.labels[index]);
    };
    input.addEventListener("input", () => { read(); update(); });
    read();
    document.getElementById("controls").append(box);
  }

  const at = { ...start };
  controls.forEach(mount);
  update();
})();
