"""Runs inside cells: the live view's messages, and its buttons while the cell runs."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kernel.session import Answer, Session

VIEW = "application/vnd.jupyter.widget-view+json"


def empty_array(path: Path, side: int) -> str:
    """A Zarr array of `side`³ zeros that takes no space: it has no chunks."""
    path.mkdir()
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [side] * 3,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [32] * 3}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
    }
    (path / "zarr.json").write_text(json.dumps(metadata))
    return str(path)


@pytest.fixture
def session(start: Callable[..., Session], tmp_path: Path) -> Session:
    """A kernel that keeps its runs in the test's folder."""
    return start(os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")})


@pytest.fixture
def long_copy(tmp_path: Path) -> str:
    """A command that goes on for longer than any test looks at it."""
    source = empty_array(tmp_path / "big.zarr", 8192)
    return f"%bp copy {source} {tmp_path / 'out.zarr'} --block-shape 32,32,32 --workers 1"


def custom(answer: Answer) -> list[dict[str, Any]]:
    """The contents of the custom messages to widgets."""
    data = [message["data"] for message in answer.of("comm_msg")]
    return [part["content"] for part in data if part["method"] == "custom"]


def opened(session: Session, request: str) -> str:
    """The id of the progress widget's model, once it is shown."""
    shown = session.wait_for("display_data", request)
    return str(shown["content"]["data"][VIEW]["model_id"])


def say(session: Session, model: str, **content: Any) -> dict[str, Any]:
    """Send a custom message as the widget does; gives the answer's content."""
    content = content | {"request": 7}
    asked = session.send(
        "comm_msg", {"comm_id": model, "data": {"method": "custom", "content": content}}
    )
    answer = session.wait_for("comm_msg", asked, timeout=20)
    assert answer["content"]["data"]["content"]["request"] == 7
    return dict(answer["content"]["data"]["content"])


def test_a_run_is_shown_and_its_last_state_saved(session: Session, tmp_path: Path) -> None:
    source = empty_array(tmp_path / "in.zarr", 64)
    answer = session.run(f"%bp copy {source} {tmp_path / 'out.zarr'} --block-shape 32,32,32")
    assert answer.status == "ok", answer.reply
    layout, model = answer.of("comm_open")
    assert layout["data"]["state"]["_model_name"] == "LayoutModel"
    state = model["data"]["state"]
    assert (state["_model_module"], state["view"]) == ("anywidget", "run-progress")
    assert state["layout"] == f"IPY_MODEL_{layout['comm_id']}"
    assert "render" in state["_esm"]
    assert state["run"]["blocks"] == 8
    (shown,) = answer.of("display_data")
    assert shown["data"][VIEW]["model_id"] == model["comm_id"]
    assert {"text/plain", "text/html"} <= shown["data"].keys()
    assert custom(answer)[0]["type"] == "cells"
    updates = [message["data"] for message in answer.of("comm_msg")]
    states = [update["state"] for update in updates if update["method"] == "update"]
    final = [state["status"] for state in states if "status" in state] or [state["status"]]
    assert final[-1]["state"] == "succeeded"
    assert final[-1]["counts"]["done"] == 8
    saved = answer.of("update_display_data")[-1]
    assert saved["transient"] == shown["transient"]
    assert "succeeded" in saved["data"]["text/plain"]


def test_the_widget_is_answered_while_the_cell_runs(session: Session, long_copy: str) -> None:
    request = session.client.execute(long_copy)
    model = opened(session, request)
    assert say(session, model, type="ready")["type"] == "cells"
    assert say(session, model, type="block", block=3)["region"] == "0:32,0:32,96:128"
    assert say(session, model, type="nonsense")["type"] == "error"
    session.client.comm_info("jupyter.widget")
    listed = session.client.get_shell_msg(timeout=20)["content"]["comms"]
    assert model in listed
    assert say(session, model, type="cancel")["type"] == "ok"
    answer = session.collect(request, timeout=30)
    assert (answer.status, answer.error["ename"]) == ("error", "cancelled")


def test_an_interrupt_cancels_the_run_and_says_how_to_go_on(
    session: Session, long_copy: str
) -> None:
    request = session.client.execute(long_copy)
    opened(session, request)
    started = time.monotonic()
    session.control("interrupt_request")
    answer = session.collect(request, timeout=30)
    # Not a speed: the promise is that the run stops at its next block.
    assert time.monotonic() - started < 5
    assert answer.error["ename"] == "cancelled"
    assert "resume" in "\n".join(answer.error["traceback"])


def test_a_reloaded_page_gets_the_widget_again(session: Session, tmp_path: Path) -> None:
    source = empty_array(tmp_path / "in.zarr", 64)
    run = session.run(f"%bp copy {source} {tmp_path / 'out.zarr'} --block-shape 32,32,32")
    model = run.of("comm_open")[1]["comm_id"]
    session.send("comm_open", {"comm_id": "c", "target_name": "jupyter.widget.control", "data": {}})
    asked = session.send("comm_msg", {"comm_id": "c", "data": {"method": "request_states"}})
    data = session.wait_for("comm_msg", asked)["content"]["data"]
    assert data["buffer_paths"] == []
    again = data["states"][model]
    assert (again["model_name"], again["model_module"]) == ("AnyModel", "anywidget")
    assert again["state"]["status"]["state"] == "succeeded"
    session.client.comm_info()
    assert "c" not in session.client.get_shell_msg(timeout=20)["content"]["comms"]
    # Its buttons go on to work when no cell runs.
    assert say(session, model, type="ready")["type"] == "cells"


def test_values_have_a_text_and_a_table(session: Session, tmp_path: Path) -> None:
    source = empty_array(tmp_path / "in.zarr", 64)
    (result,) = session.run(f"%bp info {source}").of("execute_result")
    assert "64" in result["data"]["text/plain"]
    assert "text/html" in result["data"]


def test_a_refusal_names_its_kind_and_the_fix(session: Session, tmp_path: Path) -> None:
    answer = session.run(f"%bp copy {tmp_path / 'missing.zarr'} {tmp_path / 'out.zarr'}")
    assert answer.error["ename"] == "not-found"
    assert "missing.zarr" in answer.error["evalue"]
