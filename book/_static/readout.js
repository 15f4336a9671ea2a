// Curves tell their values: a pointer, or the arrow keys, moves a line over the picture of a figure.
// Pictures stay as they are for print, and for readers without scripts.
(() => {
  const element = (kind, name, parent) => {
    const made = document.createElement(kind);
    made.className = name;
    parent?.append(made);
    return made;
  };
  const percent = (value) => `${(100 * value).toFixed(3)}%`;
  const nearest = (values, x) => {
    let low = 0;
    let high = values.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] > x) high = middle; else low = middle;
    }
    return Math.abs(values[low] - x) <= Math.abs(values[high] - x) ? low : high;
  };

  const overlay = (axes, holder, said) => {
    const [left, top, width, height] = axes.box;
    const area = element("div", "readout-axes", holder);
    Object.assign(area.style, { left: percent(left), top: percent(top), width: percent(width), height: percent(height) });
    const cursor = element("div", "readout-cursor", area);
    const dots = axes.lines.map((line) => {
      const dot = element("div", "readout-dot", area);
      dot.style.background = line.colour;
      return dot;
    });
    const scale = axes.log ? Math.log : (value) => value;
    const [first, last] = axes.range.map(scale);
    const place = (x) => (scale(x) - first) / (last - first);
    const stops = [...new Set(axes.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const apart = Math.max(...stops.slice(1).map((x, n) => x - stops[n]));
    let now = 0;
    const show = (number) => {
      now = Math.min(Math.max(number, 0), stops.length - 1);
      const x = stops[now];
      cursor.style.left = percent(place(x));
      const values = [];
      axes.lines.forEach((line, n) => {
        const at = nearest(line.x, x);
        const near = Math.abs(line.x[at] - x) <= apart;
        dots[n].hidden = !near;
        if (!near) return;
        Object.assign(dots[n].style, { left: percent(place(line.x[at])), top: percent(line.at[at]) });
        values.push(`${line.name || axes.y || "value"} ${line.y[at]}`);
      });
      area.classList.add("active");
      const text = `${axes.x || "x"} ${x}: ${values.join(", ")}`;
      area.setAttribute("aria-valuenow", x);
      area.setAttribute("aria-valuetext", text);
      said.textContent = text;
    };
    const names = { tabindex: 0, role: "slider", "aria-label": `${axes.y || "values"} by ${axes.x || "position"}`,
      "aria-valuemin": stops[0], "aria-valuemax": stops[stops.length - 1], "aria-valuenow": stops[0] };
    Object.entries(names).forEach(([name, value]) => area.setAttribute(name, value));
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      const at = first + ((event.clientX - box.left) / box.width) * (last - first);
      show(nearest(stops.map(scale), at));
    });
    area.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(stops.length / 10));
      const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - far, PageUp: now + far, Home: 0, End: stops.length - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      event.stopPropagation();
      show(moves[event.key]);
    });
    area.addEventListener("focus", () => show(now));
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".readout").forEach((readout) => {
      const image = readout.closest(".cell")?.previousElementSibling?.querySelector("img");
      if (!image) return;
      const holder = element("span", "readout-picture");
      image.before(holder);
      holder.append(image);
      const said = element("output", "readout-said", readout);
      said.textContent = "Point at the curves, or step along them with the arrow keys, to read their values.";
      JSON.parse(readout.dataset.curves).forEach((axes) => overlay(axes, holder, said));
    });
  });
})();
