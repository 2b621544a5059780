/** A new cell in JupyterLab, where the page gives its application (`--LabApp.expose_app_in_browser=True`). */

interface Cell {
  node: HTMLElement;
  model: { sharedModel: { setSource(source: string): void } };
}

interface LabApp {
  commands: { execute(id: string): Promise<unknown> };
  shell: { currentWidget: { content?: { widgets?: Cell[]; activeCell?: Cell | null; activeCellIndex?: number } } | null };
}

export function labApp(): LabApp | undefined {
  return (window as { jupyterapp?: LabApp }).jupyterapp;
}

/** Puts `code` into a new cell below the one that shows `form`. False where no notebook is in front. */
export async function insertBelow(app: LabApp, form: HTMLElement, code: string): Promise<boolean> {
  const content = app.shell.currentWidget?.content;
  if (content?.widgets === undefined || !content.activeCell) return false;
  const own = content.widgets.findIndex(({ node }) => node.contains(form));
  if (own >= 0) content.activeCellIndex = own;
  const before = content.activeCell;
  await app.commands.execute("notebook:insert-cell-below");
  // The command makes the new cell the active one; where it did nothing, no cell may lose its text.
  const cell = content.activeCell;
  if (!cell || cell === before) return false;
  cell.model.sharedModel.setSource(code);
  return true;
}
