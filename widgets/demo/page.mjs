// ?scenario=running&theme=dark&bare&play: one widget on a page, with JupyterLab's mark for the theme.
import widget from "/dist/bioimage.js";
import { FakeModel } from "./model.mjs";
import { PanelModel } from "./panel-model.mjs";
import { panels } from "./panel-scenarios.mjs";
import { scenarios } from "./scenarios.mjs";

const query = new URLSearchParams(location.search);
const name = query.get("scenario") ?? "running";
const theme = query.get("theme");
document.body.classList.toggle("bare", query.has("bare"));
if (theme !== null) document.body.dataset.jpThemeLight = String(theme === "light");
for (const each of Object.keys({ ...scenarios, ...panels })) {
  const link = document.createElement("a");
  link.href = `?scenario=${each}&play${theme === null ? "" : `&theme=${theme}`}`;
  link.textContent = each;
  document.querySelector("nav").append(link);
}

const model = name in panels ? new PanelModel(panels[name]()) : new FakeModel(scenarios[name]());
widget.render({ model, el: document.querySelector("main") });
if (query.has("play") && name in scenarios) model.play();
window.model = model;
