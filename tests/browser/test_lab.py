"""The tools of the browser tests: a Lab with a Python kernel, and a plain widget in it."""

import pytest
from browser.lab import Console, LabServer
from playwright.sync_api import Page, expect

COUNTER = """
import anywidget
import traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    export default {
      render({ model, el }) {
        const button = document.createElement("button");
        const show = () => { button.textContent = `count ${model.get("count")}`; };
        button.onclick = () => {
          model.set("count", model.get("count") + 1);
          model.save_changes();
        };
        model.on("change:count", show);
        show();
        el.append(button);
      }
    };
    '''
    count = traitlets.Int(3).tag(sync=True)

counter = Counter()
counter
"""


def test_widget_answers_clicks_and_survives_a_reload(lab: LabServer, page: Page) -> None:
    notebook = lab.open(page, "widget.ipynb", [COUNTER, "print(counter.count)"])
    notebook.run_all()
    button = notebook.output(0).get_by_role("button")
    expect(button).to_have_text("count 3")
    button.click()
    expect(button).to_have_text("count 4")
    notebook.run(1)
    expect(notebook.output(1)).to_have_text("4")
    notebook.save()
    notebook.reload()
    expect(notebook.output(0).get_by_role("button")).to_have_text("count 4")


def test_interrupt_and_restart(lab: LabServer, page: Page) -> None:
    notebook = lab.open(page, "interrupt.ipynb", ["import time; time.sleep(60)", "print('alive')"])
    notebook.run(0, wait=False)
    notebook.wait_for("return panel.sessionContext.session.kernel.status === 'busy';")
    notebook.interrupt()
    notebook.wait_idle()
    assert notebook.outputs(0)[0]["ename"] == "KeyboardInterrupt"
    notebook.restart()
    notebook.run(1)
    assert notebook.outputs(1)[0]["text"] == "alive\n"


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_themes(lab: LabServer, page: Page, theme: str) -> None:
    lab.open(page, "theme.ipynb", ["1"]).theme(theme)


def test_console_errors_are_seen(lab: LabServer, page: Page, console: Console) -> None:
    lab.open(page, "errors.ipynb", ["1"])
    assert console.errors == []
    page.evaluate("console.error('seen'); setTimeout(() => { throw new Error('thrown'); }, 0);")
    page.wait_for_timeout(200)
    assert [error.split()[0] for error in console.errors] == ["seen", "uncaught:"]
    console.errors.clear()
