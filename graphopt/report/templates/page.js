// The page around the graphs: faults, navigation, search, details of a node, links to a state.
const trouble = document.getElementById("trouble");
const report = (text) => { if (trouble) { trouble.hidden = false; trouble.textContent = text; } };
window.addEventListener("error", (event) => report("The page has a fault: " + event.message));

const links = [...document.querySelectorAll("nav a")];
const spy = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links) link.classList.toggle("here", link.hash === "#" + entry.target.id);
  }
}, { rootMargin: "-15% 0px -75% 0px" });
document.querySelectorAll("section").forEach((section) => spy.observe(section));


const $ = (id) => document.getElementById(id);
const graphs = JSON.parse($("graphs").textContent);
const panes = [];
let active = null;

const element = (tag, text, className) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

const select = (pane, index) => {
  for (const other of panes) { other.selected = other === pane ? index : -1; other.draw(); }
  active = index < 0 ? null : pane;
  const box = $("node");
  box.hidden = index < 0;
  // Side by side, the details lie over the graph that is not being looked at.
  box.classList.toggle("left", pane.side === "after" && panes.filter((p) => !p.element.hidden).length > 1);
  if (index >= 0) describe(box, pane, index);
  remember();
};

const describe = (box, pane, index) => {
  const node = pane.graph.nodes[index], list = element("dl");
  const row = (title, ...content) => { list.append(element("dt", title)); const value = element("dd"); value.append(...content); list.append(value); };
  const lines = (values) => values.flatMap((value, i) => i ? [element("br"), value] : [value]);
  const link = (other, text) => { const anchor = element("a", text); anchor.tabIndex = 0; anchor.addEventListener("click", () => { select(pane, other); reveal(pane, other); }); return anchor; };
  const close = element("button", "\u00d7"); close.setAttribute("aria-label", "Close"); close.addEventListener("click", () => select(pane, -1));
  const title = element("h3"); title.append(element("span", node.op), close);
  if (node.name) row("name", element("code", node.name));
  if (node.mark) row("change", element("span", node.mark === "new" ? "new or changed by the compile" : "gone or changed after the compile", "badge " + (node.mark === "new" ? "good" : "bad")));
  if (node.by) row("made by", element("code", node.by));
  if (node.count) row("contains", Object.entries(node.ops).map(([op, n]) => n + " " + op).join(", "));
  if (node.flops) row("FLOPs", flops(node.flops));
  if (node.scope) row("inside", element("code", node.scope));
  const peers = (edges, end) => [...new Set(edges.map((i) => pane.graph.edges[i][end]))];
  const inputs = peers(pane.into[index], 0), readers = peers(pane.out[index], 1);
  const name = (i) => pane.graph.nodes[i].op + (pane.graph.nodes[i].name ? " " + cut(pane.graph.nodes[i].name, 40) : "");
  if (inputs.length) row("from", ...lines(inputs.slice(0, 20).map((i) => link(i, name(i)))));
  if (node.consts) row("constants", ...lines(node.consts.map((text) => element("code", text))));
  if ((node.outs || []).length) row("outputs", ...lines(node.outs.map((text) => element("code", text))));
  if (readers.length) row("to", ...lines(readers.slice(0, 20).map((i) => link(i, name(i)))));
  for (const [key, value] of Object.entries(node.attrs || {})) row(key, element("code", value));
  box.replaceChildren(title, list);
  const body = (pane.graph.functions || {})[node.op];
  if (body) box.append(element("pre", body));
  box.scrollTop = 0;
};

const reveal = (pane, index) => { const node = pane.graph.nodes[index]; if (pane.scale < 0.5) pane.scale = 0.85; pane.center(node.x, node.y); };

const middle = (text) => text.length > 38 ? text.slice(0, 6) + "…" + text.slice(-31) : text;

const search = (text) => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean), found = $("found");
  found.replaceChildren(); found.hidden = !words.length;
  let total = 0;
  for (const pane of panes) {
    pane.hits = new Set();
    if (words.length) pane.graph.nodes.forEach((node, index) => {
      const hay = [node.op, node.name, node.scope || "", node.by || "", node.mark || "", ...(node.outs || []), ...Object.keys(node.ops || {})].join(" ").toLowerCase();
      if (words.every((word) => hay.includes(word))) pane.hits.add(index);
    });
    if (!pane.element.hidden) {
      total += pane.hits.size;
      for (const index of [...pane.hits].slice(0, 60)) {
        const node = pane.graph.nodes[index], button = element("button", node.op);
        button.append(element("span", middle(node.name || kindOf(node)), "dim small"));
        button.title = node.name;
        if (panes.length > 1) button.append(element("span", pane.side, "dim small"));
        button.addEventListener("click", () => { select(pane, index); reveal(pane, index); found.hidden = true; });
        found.append(button);
      }
    }
    pane.draw();
  }
  if (words.length) found.prepend(element("p", total === 1 ? "1 node" : total + " nodes", "dim small"));
};

const show = (view) => {
  const one = view !== "both" || panes.length < 2;
  document.querySelector(".panes").classList.toggle("one", one);
  document.querySelectorAll(".pane").forEach((pane) => { pane.hidden = one ? pane.dataset.side !== (view === "both" ? panes[panes.length - 1].side : view) : false; });
  document.querySelectorAll("[data-view]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === view)));
};

// "#graph?view=after&q=Conv&node=after:12" is a link to what is on the screen.
const remember = () => {
  const state = new URLSearchParams();
  const view = document.querySelector('[data-view][aria-pressed="true"]');
  if (view) state.set("view", view.dataset.view);
  if ($("search").value) state.set("q", $("search").value);
  if (active) state.set("node", active.side + ":" + active.selected);
  try { history.replaceState(null, "", "#graph?" + state); } catch { /* a page opened from an archive has no history */ }
};
const recall = () => {
  const [section, query] = location.hash.split("?");
  if (section !== "#graph" || !query) return;
  const state = new URLSearchParams(query), [side, index] = (state.get("node") || "").split(":");
  if (["both", "before", "after"].includes(state.get("view"))) show(state.get("view"));
  if (state.get("q")) { $("search").value = state.get("q"); search(state.get("q")); }
  const pane = panes.find((p) => p.side === side);
  if (pane && pane.graph.nodes[Number(index)]) { select(pane, Number(index)); requestAnimationFrame(() => reveal(pane, Number(index))); }
  $("graph").scrollIntoView({ behavior: "instant" });
};

const start = () => {
  if (!$("search")) return;
  readColours();
  document.querySelectorAll(".pane").forEach((pane) => { if (graphs[pane.dataset.side]) panes.push(new Pane(pane, graphs[pane.dataset.side])); else pane.remove(); });
  if (panes.length < 2) document.querySelectorAll("[data-view]").forEach((button) => button.remove());
  show(panes.length < 2 ? panes[0].side : window.innerWidth < 900 ? "after" : "both");
  document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => { show(button.dataset.view); if ($("search").value) search($("search").value); remember(); }));
  const drawn = new Set(panes.flatMap((pane) => pane.graph.nodes.map((node) => node.f)));
  for (const family of families.filter((name) => drawn.has(name))) {
    const entry = element("span"), swatch = element("i"); swatch.style.background = "var(--" + family + ")"; entry.append(swatch, titles[family]); $("legend").append(entry);
  }
  if (panes.length > 1) for (const [mark, text] of [["gone", "gone or changed"], ["new", "new or changed"]]) { const entry = element("span"); entry.append(element("i", undefined, mark), text); $("legend").append(entry); }
  $("search").addEventListener("input", () => { search($("search").value); remember(); });
  $("search").addEventListener("focus", () => { if ($("search").value) $("found").hidden = false; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { $("found").hidden = true; if (active) select(active, -1); }
    if (event.key === "/" && document.activeElement !== $("search")) { event.preventDefault(); $("search").focus(); }
  });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("#found, #search")) $("found").hidden = true; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); panes.forEach((pane) => pane.draw()); });
  recall();
};
start();
