// One canvas with a graph: pan, zoom, selection and an overview map.
const HEIGHT = 40, RADIUS = 7;
const families = ["conv", "matmul", "recurrent", "norm", "other", "reduce", "quantise", "move", "fused", "edge"];
const titles = { conv: "convolution", matmul: "matmul, attention", recurrent: "recurrent, control flow", norm: "normalisation",
  other: "elementwise", reduce: "pooling, reduction", quantise: "quantise, cast", move: "data movement", fused: "fused", edge: "input, output" };
let colour = {};
const readColours = () => {
  const style = getComputedStyle(document.documentElement);
  for (const name of [...families, "text", "dim", "faint", "wire", "node", "line", "accent", "good", "bad", "bg"]) colour[name] = style.getPropertyValue("--" + name).trim();
};
const flops = (value) => {
  if (!value) return "0";
  const power = Math.min(Math.max(Math.floor(Math.log10(value) / 3), 0), 6);
  return (value / 1000 ** power).toPrecision(3) + " " + ["", "k", "M", "G", "T", "P", "E"][power] + "FLOP";
};
const kindOf = (node) => { const out = (node.outs || [])[0]; return out ? out.slice(out.lastIndexOf(": ") + 2) : ""; };
const cut = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

class Pane {
  constructor(element, graph) {
    this.element = element; this.graph = graph; this.side = element.dataset.side;
    this.canvas = element.querySelector(".main"); this.map = element.querySelector(".map");
    this.selected = -1; this.hits = new Set();
    this.into = graph.nodes.map(() => []); this.out = graph.nodes.map(() => []);
    graph.edges.forEach((edge, index) => { this.out[edge[0]].push(index); this.into[edge[1]].push(index); });
    this.top = graph.nodes.reduce((most, node) => Math.max(most, node.flops || 0), 1);
    this.rows = new Map();
    graph.nodes.forEach((node, index) => { const row = this.rows.get(node.y); if (row) row.push(index); else this.rows.set(node.y, [index]); });
    const marked = graph.nodes.filter((node) => node.mark).length;
    const caption = element.querySelector(".caption");
    const bold = document.createElement("b");
    bold.textContent = this.side === "before" ? "Before" : "After";
    const real = graph.nodes.filter((node) => node.f !== "edge").length;
    caption.append(bold, ` ${(graph.folded || real).toLocaleString("en")} operators` + (graph.folded ? ` in ${real} blocks` : "") +
      (marked ? `, ${marked} ${this.side === "before" ? "gone or changed" : "new or changed"}` : "") + (graph.omitted ? `, ${graph.omitted} left out` : ""));
    this.scale = 0; this.x = 0; this.y = 0;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(element);
  }
  resize() {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.map]) {
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio)); canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    }
    if (!this.scale && this.canvas.clientWidth) this.home();
    this.draw();
  }
  home() {
    // The busiest stretch of the first rows, so that a lone input far aside is not what a person sees first.
    const width = this.canvas.clientWidth - 90, height = this.canvas.clientHeight;
    this.scale = width < 420 ? 0.65 : 0.85;
    const span = width / this.scale, top = this.graph.nodes.filter((node) => node.y < height / this.scale - 60).map((node) => node.x).sort((a, b) => a - b);
    let best = 0, at = (top[0] || 0);
    for (let i = 0, j = 0; i < top.length; i++) { while (top[i] - top[j] > span - 160) j++; if (i - j >= best) { best = i - j + 1; at = (top[i] + top[j]) / 2; } }
    this.center(at + 45 / this.scale, height / this.scale / 2 - 90);
  }
  fit() {
    const width = this.canvas.clientWidth - 110, height = this.canvas.clientHeight - 60;
    this.scale = Math.max(0.01, Math.min(1.2, width / (this.graph.w + 40), height / (this.graph.h + 40)));
    this.center(this.graph.w / 2, this.graph.h / 2 - 20);
  }
  center(x, y) { this.x = this.canvas.clientWidth / 2 - x * this.scale; this.y = this.canvas.clientHeight / 2 - y * this.scale; this.draw(); }
  zoom(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const next = Math.min(4, Math.max(0.01, this.scale * factor)); const f = next / this.scale;
    this.x = px - (px - this.x) * f; this.y = py - (py - this.y) * f; this.scale = next; this.draw();
  }
  draw() { if (!this.pending) { this.pending = true; requestAnimationFrame(() => { this.pending = false; this.paint(); }); } }
  paint() {
    const ratio = window.devicePixelRatio || 1, c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0); c.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    c.translate(this.x, this.y); c.scale(this.scale, this.scale);
    const view = { l: -this.x / this.scale - 150, t: -this.y / this.scale - 60,
      r: (this.canvas.clientWidth - this.x) / this.scale + 150, b: (this.canvas.clientHeight - this.y) / this.scale + 60 };
    this.paintEdges(c, view);
    const readable = this.scale > 0.3;
    for (const [y, row] of this.rows) {
      if (y < view.t || y > view.b) continue;
      for (const index of row) { const node = this.graph.nodes[index]; if (node.x > view.l - 130 && node.x < view.r + 130) this.paintNode(c, node, index, readable); }
    }
    this.paintMap(view);
  }
  paintEdges(c, view) {
    const { nodes, edges } = this.graph; const near = new Set(this.selected < 0 ? [] : [...this.into[this.selected], ...this.out[this.selected]]);
    const trace = (edge) => {
      const a = nodes[edge[0]], b = nodes[edge[1]];
      let x = a.x, y = a.y + HEIGHT / 2; c.moveTo(x, y);
      const bends = edge[3] || [];
      for (let i = 0; i <= bends.length; i += 2) {
        const nx = i < bends.length ? bends[i] : b.x, ny = i < bends.length ? bends[i + 1] : b.y - HEIGHT / 2, half = (y + ny) / 2;
        if (nx === x) c.lineTo(nx, ny); else c.bezierCurveTo(x, half, nx, half, nx, ny);
        x = nx; y = ny;
      }
    };
    c.lineWidth = Math.max(1.1, 0.6 / this.scale); c.strokeStyle = colour.wire; c.globalAlpha = 0.9; c.beginPath();
    edges.forEach((edge, index) => {
      const a = nodes[edge[0]], b = nodes[edge[1]];
      if (edge[3] === null || near.has(index) || Math.max(a.y, b.y) < view.t || Math.min(a.y, b.y) > view.b) return;
      trace(edge);
    });
    c.stroke(); c.globalAlpha = 1;
    if (near.size) { c.lineWidth = Math.max(2, 1.4 / this.scale); c.strokeStyle = colour.accent; c.beginPath(); for (const index of near) trace(edges[index]); c.stroke(); }
  }
  paintNode(c, node, index, readable) {
    const left = node.x - node.w / 2, top = node.y - HEIGHT / 2, tint = colour[node.f] || colour.other;
    const faded = this.hits.size && !this.hits.has(index) && index !== this.selected;
    c.globalAlpha = faded ? 0.25 : 1;
    c.beginPath(); c.roundRect(left, top, node.w, HEIGHT, node.f === "edge" ? HEIGHT / 2 : RADIUS);
    if (!readable) { c.fillStyle = tint; c.fill(); }
    else {
      c.fillStyle = colour.node; c.fill(); c.save(); c.clip();
      c.fillStyle = tint; c.globalAlpha = faded ? 0.1 : 0.13; c.fillRect(left, top, node.w, HEIGHT); c.globalAlpha = faded ? 0.25 : 1;
      if (node.f !== "edge") c.fillRect(left, top, 4, HEIGHT);
      if (node.flops) c.fillRect(left + 4, top + HEIGHT - 3, (node.w - 4) * Math.sqrt(node.flops / this.top), 3);
      c.restore();
    }
    const marked = node.mark === "new" ? colour.good : node.mark === "gone" ? colour.bad : "";
    if (index === this.selected || this.hits.has(index)) { c.lineWidth = Math.max(2.5, 1.6 / this.scale); c.strokeStyle = colour.accent; c.stroke(); }
    else if (marked) { c.lineWidth = Math.max(1.6, 1 / this.scale); c.strokeStyle = marked; c.setLineDash(node.mark === "gone" ? [4, 3] : []); c.stroke(); c.setLineDash([]); }
    else if (readable) { c.lineWidth = 1; c.strokeStyle = colour.line; c.stroke(); }
    if (readable) {
      c.textAlign = "center"; c.fillStyle = colour.text; c.font = "600 12.5px system-ui, sans-serif"; const label = node.op.includes("::") ? node.op.split("::").pop() : node.op;
      const kind = node.f === "edge" ? node.name : node.count > 1 ? node.count + " nodes" : kindOf(node);
      c.fillText(cut(label, 36), node.x + (node.f === "edge" ? 0 : 2), node.y + (kind ? -2 : 4), node.w - 12);
      if (kind) { c.fillStyle = colour.dim; c.font = "10.5px ui-monospace, Menlo, Consolas, monospace"; c.fillText(cut(kind, 36), node.x + 2, node.y + 12, node.w - 12); }
    }
    c.globalAlpha = 1;
  }
  paintMap(view) {
    const ratio = window.devicePixelRatio || 1, c = this.map.getContext("2d"), w = this.map.clientWidth, h = this.map.clientHeight;
    c.setTransform(ratio, 0, 0, ratio, 0, 0); c.clearRect(0, 0, w, h);
    const sx = (w - 8) / Math.max(this.graph.w, 1), sy = (h - 8) / Math.max(this.graph.h, 1); this.mapScale = [sx, sy];
    const dot = Math.max(1.2, Math.min(5, sy * HEIGHT));
    this.graph.nodes.forEach((node, index) => {
      const hit = this.hits.has(index) || index === this.selected;
      c.fillStyle = hit ? colour.accent : node.mark === "new" ? colour.good : node.mark === "gone" ? colour.bad : colour.faint; c.globalAlpha = hit ? 1 : 0.55;
      const width = hit ? 12 : Math.max(1.5, Math.min(10, node.w * sx)); c.fillRect(4 + node.x * sx - width / 2, 4 + node.y * sy, width, hit ? Math.max(3, dot) : dot);
    });
    c.globalAlpha = 1; c.strokeStyle = colour.accent; c.lineWidth = 1.5;
    const l = Math.max(1, 4 + (view.l + 150) * sx), r = Math.min(w - 1, 4 + (view.r - 150) * sx), t = Math.max(1, 4 + (view.t + 60) * sy), b = Math.min(h - 1, 4 + (view.b - 60) * sy);
    c.strokeRect(l, t, Math.max(6, r - l), Math.max(4, b - t));
  }
  at(px, py) {
    const x = (px - this.x) / this.scale, y = (py - this.y) / this.scale;
    return this.graph.nodes.findIndex((node) => Math.abs(node.x - x) <= node.w / 2 + 2 && Math.abs(node.y - y) <= HEIGHT / 2 + 2);
  }
  listen() {
    let from = null, moved = false; const touches = new Map();
    this.canvas.addEventListener("pointerdown", (e) => { touches.set(e.pointerId, [e.offsetX, e.offsetY]); from = [e.offsetX, e.offsetY]; moved = false; this.canvas.setPointerCapture(e.pointerId); });
    this.canvas.addEventListener("pointermove", (e) => {
      if (!touches.has(e.pointerId)) { this.canvas.title = ""; return; }
      const was = touches.get(e.pointerId); touches.set(e.pointerId, [e.offsetX, e.offsetY]);
      if (touches.size === 2) {
        const [a, b] = [...touches.values()], other = a === touches.get(e.pointerId) ? b : a;
        const before = Math.hypot(was[0] - other[0], was[1] - other[1]), after = Math.hypot(e.offsetX - other[0], e.offsetY - other[1]);
        if (before > 0) this.zoom(after / before, (e.offsetX + other[0]) / 2, (e.offsetY + other[1]) / 2); moved = true; return;
      }
      if (Math.hypot(e.offsetX - from[0], e.offsetY - from[1]) > 4) moved = true;
      this.x += e.offsetX - was[0]; this.y += e.offsetY - was[1]; this.draw();
    });
    const up = (e) => { touches.delete(e.pointerId); };
    this.canvas.addEventListener("pointerup", (e) => { up(e); if (!moved) select(this, this.at(e.offsetX, e.offsetY)); });
    this.canvas.addEventListener("pointercancel", up);
    this.canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.zoom(Math.exp(-Math.sign(e.deltaY) * Math.min(60, Math.abs(e.deltaY)) * 0.004), e.offsetX, e.offsetY); }, { passive: false });
    this.canvas.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[e.key];
      if (step) { this.x += step[0]; this.y += step[1]; this.draw(); e.preventDefault(); }
      else if (e.key === "+" || e.key === "=") this.zoom(1.25); else if (e.key === "-") this.zoom(0.8); else if (e.key === "0") this.fit();
    });
    const jump = (e) => { if (e.buttons) this.center((e.offsetX - 4) / this.mapScale[0], (e.offsetY - 4) / this.mapScale[1]); };
    this.map.addEventListener("pointerdown", jump); this.map.addEventListener("pointermove", jump);
    this.element.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => { const f = Number(button.dataset.zoom); if (f) this.zoom(f); else this.fit(); }));
  }
}
