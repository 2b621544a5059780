"""`%bp` and `%%bp`: the `bp` language in IPython, with completion and help from the engine."""

import importlib.util
import json
import sys
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from bioimage_rs import _native
from bioimage_rs._host import Host
from bioimage_rs._progress import in_notebook
from bioimage_rs._runs import Run, find_program
from bioimage_rs.errors import BioimageError

if TYPE_CHECKING:
    from bioimage_rs._widgets import PanelWidget


class Value:
    """What a command found out: text, HTML and plain data."""

    def __init__(self, text: str, html: str | None, data: Any) -> None:
        self.text = text
        self.html = html
        self.data = data

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str | None:
        return self.html


def command(line: str, variables: dict[str, Any] | None = None) -> Run | Value | str | None:
    """Run a line of the `bp` language.

    Parameters
    ----------
    line
        As typed in a shell, without the leading `bp`.
    variables
        Arrays that may stand where a path may, by name.

    Returns
    -------
    The run, a value with `.data`, text, or nothing.

    Raises
    ------
    BioimageError
        As the shell command's messages.

    Examples
    --------
    >>> from bioimage_rs import command
    >>> "copy" in command("help")
    True
    """
    answer = _execute(line, Host(variables or {}))
    # Panels are shown to whoever typed the line, and code asks for values.
    assert answer is None or isinstance(answer, (Run, Value, str))
    return answer


def _execute(line: str, host: Host) -> "Run | Value | PanelWidget | str | None":
    try:
        reply = _native.execute(line, host, find_program())
    finally:
        host.end()
    if reply.panel is not None:
        from bioimage_rs._widgets import widget_of

        return widget_of(reply.panel, host.variables)
    if reply.kind == "run" and reply.run is not None:
        run = Run(reply.run)
        run._shown = str(run.folder) in host.shown
        return run
    if reply.kind == "value":
        return Value(reply.text, reply.html, json.loads(reply.json))
    return reply.text if reply.kind == "text" else None


def bp_magic(line: str, cell: str | None = None) -> "Run | Value | PanelWidget | None":
    """Run `bp` commands: `%bp copy in.tif out.zarr`, or several lines below `%%bp`.

    A variable that holds an array may stand where a path may; `{expression}` and `$name` are
    replaced first. `%bp help` lists the verbs.
    """
    shell = InteractiveShell.instance()
    lines = [line] if line.strip() or cell is None else []
    if cell is not None:
        expand: Any = shell.var_expand
        lines += [expand(one, depth=1) for one in cell.splitlines()]
    result: Run | Value | PanelWidget | None = None
    for one in lines:
        text = one.strip()
        if cell is not None and (not text or text.startswith("#")):
            continue
        try:
            host = Host(shell.user_ns, shows_panels=in_notebook() and _has_widgets())
            answer = _execute(text.removeprefix("%bp ").removeprefix("bp "), host)
        except BioimageError as error:
            error._brief = True
            raise
        if isinstance(answer, str):
            sys.stdout.write(answer.rstrip("\n") + "\n")
            result = None
        else:
            result = answer
    return result


def _has_widgets() -> bool:
    """Whether the notebook extra is installed."""
    return importlib.util.find_spec("anywidget") is not None


def _complete(_shell: Any, event: Any) -> list[str]:
    """Complete a `%bp` line."""
    typed = event.line.lstrip().removeprefix("%%bp").removeprefix("%bp")
    line = typed.lstrip()
    start, _, matches = _native.complete(line, len(line.encode()))
    word = line.encode()[start:].decode()
    # IPython replaces its own idea of a word, which may be shorter than ours.
    kept = len(word) - len(event.symbol) if word.endswith(event.symbol) else 0
    return [text[kept:] for text, _, _ in matches if text.startswith(word)]


def _help(lines: list[str]) -> list[str]:
    """`%bp copy?` asks for help on the verb."""
    if len(lines) == 1 and lines[0].lstrip().startswith("%bp") and lines[0].rstrip().endswith("?"):
        asked = lines[0].strip().rstrip("?").removeprefix("%bp").split()
        return [f"%bp help {asked[0]}\n" if asked else "%bp help\n"]
    return lines


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext bioimage_rs`."""
    shell.register_magic_function(bp_magic, "line_cell", "bp")
    shell.set_hook("complete_command", _complete, str_key="%bp")
    if _help not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(_help)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext bioimage_rs`."""
    for magics in (shell.magics_manager.magics["line"], shell.magics_manager.magics["cell"]):
        magics.pop("bp", None)
    if _help in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_help)
