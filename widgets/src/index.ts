/** Entry of the bundle: one anywidget module for every widget, chosen by the model's `view`. */

import type { AnyModel, Render } from "./anywidget";
import { element } from "./dom";
import { renderOperationForm } from "./operation-form/index";
import { renderRunProgress } from "./run-progress/index";
import { renderRunsTable } from "./runs-table/index";
import { renderSlurmForm } from "./slurm-form/index";
import "./base.css";
import "./fields/style.css";
import "./operation-form/style.css";
import "./run-progress/style.css";
import "./runs-table/style.css";

const views: Record<string, Render> = {
  "run-progress": renderRunProgress,
  "operation-form": renderOperationForm,
  "runs-table": renderRunsTable,
  "slurm-form": renderSlurmForm,
};

function render(context: { model: AnyModel; el: HTMLElement }): () => void {
  const name = String(context.model.get("view"));
  const view = Object.hasOwn(views, name) ? views[name] : undefined;
  if (view !== undefined) return view(context);
  const note = element(
    "p",
    { role: "alert" },
    `This widget bundle has no view "${name}" (it has: ${Object.keys(views).join(", ")}). ` +
      "The kernel and the page come from different versions of bioimage-rs: restart the kernel and reload the page.",
  );
  context.el.append(note);
  return () => note.remove();
}

export default { render };
