// The stacked chart of decisions per second. It is told what to draw and keeps nothing else.

const SVG = "http://www.w3.org/2000/svg";
const SPAN_MS = 120000;

function svg(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

// The least of 1, 2 or 5 times a power of ten that four steps of take `most`.
function step(most) {
  const least = Math.max(most, 4) / 4;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(n => n * power).find(n => n >= least);
}

function makeChart(root, tip, said, series, count) {
  let rates = null;
  let at = null;
  let frame = null;

  function layout() {
    const box = root.getBoundingClientRect();
    const top = rates.per_s.reduce((most, now) => Math.max(most, now.reduce((a, b) => a + b, 0)), 0);
    const unit = step(top);
    const area = { left: 48, top: 10, right: box.width - 4, bottom: box.height - 22 };
    return {
      box, unit, area, most: unit * 4,
      x: age => area.right - (area.right - area.left) * age / SPAN_MS,
      y: rate => area.bottom - (area.bottom - area.top) * rate / (unit * 4),
    };
  }

  function draw() {
    frame = null;
    root.replaceChildren();
    if (!rates) return;
    const l = frame = layout();
    root.setAttribute("viewBox", `0 0 ${l.box.width} ${l.box.height}`);
    for (let i = 0; i <= 4; i++) {
      const y = Math.round(l.y(l.unit * i)) + 0.5;
      svg(root, "line", { class: "grid", x1: l.area.left, x2: l.area.right, y1: y, y2: y });
      const label = svg(root, "text", { x: l.area.left - 8, y: y + 4, "text-anchor": "end" });
      label.textContent = short(l.unit * i);
    }
    for (const age of l.box.width < 480 ? [120, 60, 0] : [120, 90, 60, 30, 0]) {
      const anchor = age === 120 ? "start" : age === 0 ? "end" : "middle";
      const label = svg(root, "text", { x: l.x(age * 1000), y: l.box.height - 4, "text-anchor": anchor });
      label.textContent = age === 0 ? "now" : `${age} s ago`;
    }
    const floor = rates.per_s.map(() => 0);
    for (const { name, color } of series) {
      const place = rates.outcomes.indexOf(name);
      const lower = floor.map((rate, i) => [l.x(rates.ages_ms[i]), l.y(rate)]);
      rates.per_s.forEach((now, i) => { floor[i] += now[place]; });
      if (rates.per_s.every(now => now[place] === 0)) continue;
      const upper = floor.map((rate, i) => [l.x(rates.ages_ms[i]), l.y(rate)]);
      const points = upper.concat(lower.reverse()).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
      svg(root, "path", { d: `M${points.join("L")}Z`, fill: `var(${color})` });
    }
    if (at !== null) point();
  }

  // The rule at the sample that is pointed at, and its numbers.
  function point() {
    root.querySelector(".here")?.remove();
    tip.hidden = at === null || !rates || !rates.per_s[at];
    if (tip.hidden) return;
    const x = frame.x(rates.ages_ms[at]);
    svg(root, "line", { class: "here", x1: x, x2: x, y1: frame.area.top, y2: frame.area.bottom });
    const ago = Math.round(rates.ages_ms[at] / 1000);
    const lines = series
      .map(one => ({ ...one, rate: rates.per_s[at][rates.outcomes.indexOf(one.name)] }))
      .filter(one => one.rate > 0).reverse();
    const head = make("p", {}, make("strong", {}, ago === 0 ? "now" : `${ago} s ago`));
    tip.replaceChildren(head, ...lines.map(one => make("p", {},
      swatch(one.color), make("span", {}, one.label), make("span", {}, `${count(one.rate)}/s`))));
    if (lines.length === 0) tip.append(make("p", {}, "no decisions"));
    const right = x < frame.box.width / 2;
    tip.style.left = right ? `${x + 10}px` : "auto";
    tip.style.right = right ? "auto" : `${frame.box.width - x + 10}px`;
  }

  root.addEventListener("pointermove", event => {
    if (!frame) return;
    const age = (frame.area.right - (event.clientX - frame.box.left)) * SPAN_MS / (frame.area.right - frame.area.left);
    let best = null;
    rates.ages_ms.forEach((one, i) => {
      if (best === null || Math.abs(one - age) < Math.abs(rates.ages_ms[best] - age)) best = i;
    });
    at = best;
    point();
  });
  const leave = () => { at = null; if (frame) point(); };
  root.addEventListener("pointerleave", leave);
  root.addEventListener("blur", leave);
  root.addEventListener("keydown", event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !frame || rates.per_s.length === 0) return;
    event.preventDefault();
    const last = rates.per_s.length - 1;
    at = Math.min(last, Math.max(0, (at ?? last + 1) + move));
    point();
    said.textContent = [...tip.children].map(line => line.innerText).join(", ");
  });
  new ResizeObserver(draw).observe(root);

  return { show(next) { rates = next; draw(); } };
}
