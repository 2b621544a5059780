// ?scenario=running&theme=dark&bare&play: one run on a page, with JupyterLab's mark for the theme.
import widget from "/dist/bioimage.js";
import { FakeModel } from "./model.mjs";
import { scenarios } from "./scenarios.mjs";

const query = new URLSearchParams(location.search);
const name = query.get("scenario") ?? "running";
const theme = query.get("theme");
document.body.classList.toggle("bare", query.has("bare"));
if (theme !== null) document.body.dataset.jpThemeLight = String(theme === "light");
for (const each of Object.keys(scenarios)) {
  const link = document.createElement("a");
  link.href = `?scenario=${each}&play${theme === null ? "" : `&theme=${theme}`}`;
  link.textContent = each;
  document.querySelector("nav").append(link);
}

const model = new FakeModel(scenarios[name]());
widget.render({ model, el: document.querySelector("main") });
if (query.has("play")) model.play();
window.model = model;
