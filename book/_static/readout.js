// Curves tell their values, and segments their ends: a pointer, or the arrow keys, walks over the
// picture of a figure.
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

  // An area over the axes that a pointer and the keys walk through; `show` says where it is.
  const walk = (area, about, count, find, show) => {
    let now = 0;
    const go = (number) => {
      now = Math.min(Math.max(number, 0), count - 1);
      area.classList.add("active");
      show(now);
    };
    const names = { tabindex: 0, role: "slider", ...about };
    Object.entries(names).forEach(([name, value]) => area.setAttribute(name, value));
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      go(find((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
    });
    area.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(count / 10));
      const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - far, PageUp: now + far, Home: 0, End: count - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      event.stopPropagation();
      go(moves[event.key]);
    });
    area.addEventListener("focus", () => go(now));
  };
  const tell = (area, said, value, text) => {
    area.setAttribute("aria-valuenow", value);
    area.setAttribute("aria-valuetext", text);
    said.textContent = text;
  };

  const curves = (axes, area, place, said) => {
    const cursor = element("div", "readout-cursor", area);
    const dots = axes.lines.map((line) => {
      const dot = element("div", "readout-dot", area);
      dot.style.background = line.colour;
      return dot;
    });
    const stops = [...new Set(axes.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const apart = Math.max(...stops.slice(1).map((x, n) => x - stops[n]));
    const show = (now) => {
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
      tell(area, said, x, `${axes.x || "x"} ${x}: ${values.join(", ")}`);
    };
    const about = { "aria-label": `${axes.y || "values"} by ${axes.x || "position"}`,
      "aria-valuemin": stops[0], "aria-valuemax": stops[stops.length - 1], "aria-valuenow": stops[0] };
    const places = stops.map(place);
    walk(area, about, stops.length, (x) => nearest(places, x), show);
  };

  const segments = (axes, area, place, said) => {
    const rim = element("div", "readout-span", area);
    const spans = axes.spans.map((span) => ({ ...span, left: place(span.x[0]), right: place(span.x[1]) }));
    const outside = (low, high, at) => Math.max(low - at, 0, at - high);
    const find = (x, y) => {
      const far = spans.map((s) => 100 * outside(s.at[0], s.at[1], y) + outside(s.left, s.right, x));
      return far.indexOf(Math.min(...far));
    };
    const show = (now) => {
      const { name, x, at, left, right } = spans[now];
      Object.assign(rim.style, { left: percent(left), width: percent(right - left), top: percent(at[0]), height: percent(at[1] - at[0]) });
      tell(area, said, now + 1, `${name}: ${x[0]} to ${x[1]} ${axes.x}`);
    };
    const about = { "aria-label": `segments by ${axes.x || "position"}`, "aria-valuemin": 1, "aria-valuemax": spans.length, "aria-valuenow": 1 };
    walk(area, about, spans.length, find, show);
  };

  const overlay = (axes, holder, said) => {
    const [left, top, width, height] = axes.box;
    const area = element("div", "readout-axes", holder);
    Object.assign(area.style, { left: percent(left), top: percent(top), width: percent(width), height: percent(height) });
    const scale = axes.log ? Math.log : (value) => value;
    const [first, last] = axes.range.map(scale);
    const place = (x) => (scale(x) - first) / (last - first);
    (axes.spans?.length ? segments : curves)(axes, area, place, said);
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".readout").forEach((readout) => {
      const image = readout.closest(".cell")?.previousElementSibling?.querySelector("img");
      if (!image) return;
      const holder = element("span", "readout-picture");
      image.before(holder);
      holder.append(image);
      const said = element("output", "readout-said", readout);
      const found = JSON.parse(readout.dataset.curves);
      const what = found.some((axes) => axes.lines.length) ? "curves" : "segments";
      said.textContent = `Point at the ${what}, or step along them with the arrow keys, to read their values.`;
      found.forEach((axes) => overlay(axes, holder, said));
    });
  });
})();
