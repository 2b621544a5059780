"""What a user of the kernel meets, and the protocol's dark corners."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty

import pytest
import zmq
from jupyter_client.session import Session as Wire
from kernel.session import START, Session, kernel_program

Start = Callable[..., Session]


def test_state_is_kept_between_cells(session: Session) -> None:
    session.run("let mut seen = vec![1, 2];")
    session.run("fn double(x: i32) -> i32 { 2 * x }")
    session.run("seen.push(double(3));")
    assert session.run("seen").result == "[1, 2, 6]"


def test_output_comes_while_the_cell_runs(session: Session) -> None:
    sleep = "std::thread::sleep(std::time::Duration::from_secs(3));"
    request = session.client.execute(f'println!("first"); {sleep} println!("last");')
    first = session.wait_for("stream", request)
    assert first["content"]["text"] == "first\n"
    assert session.collect(request).text() == "last\n"


@pytest.mark.parametrize(
    "code",
    [
        'print!("no newline");',
        'print!("no newline"); std::io::Write::flush(&mut std::io::stdout()).unwrap();',
    ],
)
def test_text_without_a_newline_is_neither_lost_nor_stuck(session: Session, code: str) -> None:
    assert session.run(code, timeout=60).text() == "no newline"
    assert session.run('println!("next");').text() == "next\n"


def test_both_streams_arrive_to_the_letter(session: Session) -> None:
    answer = session.run('for i in 0..3 { print!("\\r{i} é🦀"); eprint!("e{i}"); }')
    assert answer.text() == "\r0 é🦀\r1 é🦀\r2 é🦀"
    assert answer.text("stderr") == "e0e1e2"


def test_much_output_is_whole_and_in_few_messages(session: Session) -> None:
    answer = session.run('for i in 0..50_000 { println!("line {i}"); }')
    assert answer.text() == "".join(f"line {i}\n" for i in range(50_000))
    assert len(answer.of("stream")) < 1000


def test_a_panic_is_an_error_and_variables_survive(session: Session) -> None:
    session.run("let kept: usize = 41;")
    answer = session.run('println!("before"); let v: Vec<u8> = vec![]; v[kept];')
    assert answer.status == "error"
    assert answer.text() == "before\n"
    assert answer.error["ename"] == "panic"
    assert "index out of bounds" in answer.error["evalue"]
    assert session.run("kept + 1").result == "42"


def test_a_panic_in_the_middle_of_printing_is_an_error(session: Session) -> None:
    code = """
    struct Bad;
    impl std::fmt::Display for Bad {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { panic!("in display") }
    }
    println!("{}", Bad);
    """
    answer = session.run(code)
    assert (answer.status, answer.error["evalue"]) == ("error", "in display")


def test_a_caught_panic_and_one_on_another_thread_are_told_but_no_error(session: Session) -> None:
    caught = session.run('let _ = std::panic::catch_unwind(|| panic!("caught"));')
    assert (caught.status, "caught" in caught.text("stderr")) == ("ok", True)
    thread = session.run('let _ = std::thread::spawn(|| panic!("elsewhere")).join();')
    assert (thread.status, "elsewhere" in thread.text("stderr")) == ("ok", True)


def test_a_failing_question_mark_is_an_error(session: Session) -> None:
    answer = session.run('let n: i32 = "twelve".parse()?;')
    assert answer.status == "error"
    assert "invalid digit" in answer.error["evalue"]
    assert session.run("1").result == "1"


def test_a_compile_error_shows_the_line_of_the_cell(session: Session) -> None:
    answer = session.run('let ok = 1;\nlet wrong: i32 = "text";')
    assert answer.status == "error"
    text = "\n".join(answer.error["traceback"])
    assert "E0308" in text
    assert '2 | let wrong: i32 = "text";' in text
    assert "^" in text


def test_lines_of_errors_count_command_lines_too(session: Session) -> None:
    answer = session.run("%bp help\nlet a = 1;\nlet b = missing;")
    assert "3 | let b = missing;" in "\n".join(answer.error["traceback"])


def test_a_process_that_exits_is_an_error_and_functions_stay(session: Session) -> None:
    session.run("fn stays() -> u8 { 7 }")
    answer = session.run("std::process::exit(3)")
    assert (answer.status, answer.error["ename"]) == ("error", "ProcessEnded")
    assert session.run("stays()").result == "7"
    assert session.run('panic!("again")').error["evalue"] == "again"


def test_rust_and_commands_run_in_order(session: Session) -> None:
    answer = session.run('println!("one");\n%bp help\nprintln!("three");')
    one, three = answer.text().index("one\n"), answer.text().index("three\n")
    assert one < answer.text().index("bp") < three


def test_a_cell_stops_at_its_first_failure(session: Session) -> None:
    answer = session.run('%bp nonsense\nprintln!("not reached");')
    assert (answer.status, answer.text()) == ("error", "")
    assert "nonsense" in "\n".join(answer.error["traceback"])
    answer = session.run("%%bp\nnonsense\nhelp")
    assert (answer.status, answer.text()) == ("error", "")


def test_an_unknown_magic_is_named(session: Session) -> None:
    assert "%timeit" in session.run("%timeit 1").error["evalue"]


def test_a_figure_appears_in_the_middle_of_a_cell(session: Session) -> None:
    answer = session.run('println!("a"); notebook::svg("<svg/>"); println!("b");')
    kinds = [message["msg_type"] for message in answer.messages]
    assert kinds == ["execute_input", "stream", "display_data", "stream"]
    assert answer.of("display_data")[0]["data"]["image/svg+xml"] == "<svg/>"


def test_an_endless_loop_is_interrupted_within_a_second(session: Session) -> None:
    session.run("fn one() -> u8 { 1 }")
    request = session.client.execute('println!("on"); loop { std::hint::spin_loop(); }')
    session.wait_for("stream", request)
    started = time.monotonic()
    assert session.control("interrupt_request")["content"]["status"] == "ok"
    error = session.wait_for("error", request, timeout=30)
    # Not a speed: the promise is that an interrupt is heard, whatever the cell does.
    assert time.monotonic() - started < 5
    assert error["content"]["ename"] == "Interrupted"
    assert "ariables are lost" in error["content"]["evalue"]
    assert session.collect(request).status == "error"
    assert session.run("one()").result == "1"


def test_a_compile_is_interrupted_and_variables_are_kept(session: Session) -> None:
    session.run("let kept = 5;")
    code = """
    #[allow(long_running_const_eval)]
    const SLOW: u64 = { let mut i = 0; while i < 10_000_000_000 { i += 1; } i };
    println!("{SLOW}");
    """
    request = session.client.execute(code)
    session.wait_for("execute_input", request)
    # Long enough for the compiler to be at work.
    time.sleep(2)
    session.control("interrupt_request")
    error = session.wait_for("error", request, timeout=30)
    assert error["content"]["ename"] == "Interrupted"
    session.collect(request)
    assert session.run("kept").result == "5"


def test_a_signal_interrupts_too(session: Session) -> None:
    request = session.client.execute('println!("on"); loop { std::hint::spin_loop(); }')
    session.wait_for("stream", request)
    provisioner = session.manager.provisioner
    assert provisioner is not None
    os.kill(provisioner.pid, signal.SIGINT)  # type: ignore[attr-defined]
    assert session.collect(request, timeout=30).error["ename"] == "Interrupted"


def test_other_requests_are_answered_while_a_cell_runs(session: Session) -> None:
    session.run("let stack = 1;")
    request = session.client.execute('println!("on"); loop { std::hint::spin_loop(); }')
    session.wait_for("stream", request)
    session.send("comm_open", {"comm_id": "c", "target_name": "jupyter.widget.control", "data": {}})
    asked = session.send("comm_msg", {"comm_id": "c", "data": {"method": "request_states"}})
    states = session.wait_for("comm_msg", asked, timeout=20)
    assert states["content"]["data"]["method"] == "update_states"
    asked = session.client.complete("let b = sta")
    completed = session.client.get_shell_msg(timeout=20)
    assert completed["parent_header"]["msg_id"] == asked
    assert "stack" in completed["content"]["matches"]
    session.client.inspect("stack")
    assert session.client.get_shell_msg(timeout=20)["content"]["status"] == "ok"
    session.client.comm_info()
    assert session.client.get_shell_msg(timeout=20)["content"]["comms"] == {}
    session.control("interrupt_request")
    session.collect(request)


def test_unknown_comms_are_closed(session: Session) -> None:
    asked = session.send("comm_open", {"comm_id": "x", "target_name": "unknown", "data": {}})
    assert session.wait_for("comm_close", asked)["content"]["comm_id"] == "x"


def test_a_failed_cell_aborts_those_behind_it(session: Session) -> None:
    requests = [session.client.execute(code) for code in ['panic!("first")', "1", "2"]]
    answers = [session.collect(request) for request in requests]
    assert [answer.status for answer in answers] == ["error", "aborted", "aborted"]
    assert session.run("3").result == "3"
    requests = [session.client.execute("%bp nonsense", stop_on_error=False)]
    requests.append(session.client.execute("4"))
    assert [session.collect(request).status for request in requests] == ["error", "ok"]


def test_cells_that_are_not_stored_do_not_count(session: Session) -> None:
    before = session.run("1").reply["content"]["execution_count"]
    assert session.run("2", store_history=False).reply["content"]["execution_count"] == before
    assert session.run("3").reply["content"]["execution_count"] == before + 1
    session.client.history(hist_access_type="tail", n=2, raw=True)
    reply = session.client.get_shell_msg(timeout=20)
    assert [entry[2] for entry in reply["content"]["history"]] == ["1", "3"]


def test_a_silent_cell_publishes_nothing(session: Session) -> None:
    answer = session.run('println!("unheard"); 5', silent=True)
    assert (answer.status, answer.messages) == ("ok", [])


def test_user_expressions_are_evaluated(session: Session) -> None:
    session.run("let base = 20;")
    answer = session.run("()", user_expressions={"good": "base + 1", "bad": "nowhere"})
    expressions = answer.reply["content"]["user_expressions"]
    assert expressions["good"]["data"]["text/plain"] == "21"
    assert expressions["bad"]["status"] == "error"


def test_completion_counts_characters(session: Session) -> None:
    session.run("let größe = 12;")
    code = 'let s = "é🦀"; grö'
    session.client.complete(code)
    content = session.client.get_shell_msg(timeout=60)["content"]
    assert content["matches"] == ["größe"]
    assert (content["cursor_start"], content["cursor_end"]) == (len(code) - 3, len(code))


def test_completion_of_commands_counts_characters(session: Session) -> None:
    code = 'let s = "é🦀";\n%bp hel'
    session.client.complete(code)
    content = session.client.get_shell_msg(timeout=60)["content"]
    assert content["matches"] == ["help"]
    assert (content["cursor_start"], content["cursor_end"]) == (len(code) - 3, len(code))


def test_documentation_of_a_variable(session: Session) -> None:
    session.run("let documented: Vec<u16> = vec![];")
    session.client.inspect("documented", cursor_pos=4)
    content = session.client.get_shell_msg(timeout=60)["content"]
    assert content["found"]
    assert "Vec<u16>" in content["data"]["text/plain"]
    session.client.inspect("nothing_of_that_name")
    assert not session.client.get_shell_msg(timeout=60)["content"]["found"]


def test_a_cell_asks_its_user(session: Session) -> None:
    code = 'let name = notebook::input("Your name: "); println!("Hello {name}");'
    request = session.client.execute(code, allow_stdin=True)
    asked = session.client.get_stdin_msg(timeout=60)["content"]
    assert (asked["prompt"], asked["password"]) == ("Your name: ", False)
    session.client.input("Ada")
    assert session.collect(request).text() == "Hello Ada\n"


def test_a_question_can_be_interrupted(session: Session) -> None:
    request = session.client.execute('notebook::password("Secret: ");', allow_stdin=True)
    assert session.client.get_stdin_msg(timeout=60)["content"]["password"]
    session.control("interrupt_request")
    assert session.collect(request, timeout=30).error["ename"] == "Interrupted"


def test_a_front_end_that_cannot_ask_gets_no_question(session: Session) -> None:
    answer = session.run('notebook::input("Name: ")', allow_stdin=False)
    assert answer.result == '""'
    assert "cannot ask" in answer.text("stderr")
    with pytest.raises(Empty):
        session.client.get_stdin_msg(timeout=0.2)


def test_a_message_with_a_wrong_signature_is_ignored(session: Session) -> None:
    connection = session.connection()
    forger = Wire(key=b"wrong", signature_scheme="hmac-sha256")
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    try:
        socket.connect(f"tcp://{connection['ip']}:{connection['shell_port']}")
        forger.send(socket, "kernel_info_request", {})
        assert socket.poll(1000) == 0
    finally:
        socket.close(linger=0)
    assert session.run("8").result == "8"


def test_plotters_draws_inline(session: Session) -> None:
    dependency = (
        ':dep plotters = { version = "0.3", default-features = false, '
        'features = ["svg_backend", "all_series", "all_elements"] }'
    )
    assert session.run(dependency, timeout=START).status == "ok"
    code = """
    use plotters::prelude::*;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (200, 100)).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let mut chart = ChartBuilder::on(&root).build_cartesian_2d(0f32..1f32, 0f32..1f32).unwrap();
        chart.draw_series(LineSeries::new([(0f32, 0f32), (1f32, 1f32)], &RED)).unwrap();
        root.present().unwrap();
    }
    notebook::svg(&text);
    """
    answer = session.run(code, timeout=START)
    assert answer.status == "ok", answer.reply
    assert "<polyline" in answer.of("display_data")[0]["data"]["image/svg+xml"]


def test_commands_answer_before_rust_is_ready(start: Start) -> None:
    fresh = start()
    answer = fresh.run("%bp help", timeout=10)
    assert answer.status == "ok"
    assert answer.text() != ""
    # A cell that waits for the compiler can be given up at once.
    request = fresh.client.execute("1 + 1")
    fresh.wait_for("execute_input", request)
    fresh.control("interrupt_request")
    assert fresh.collect(request, timeout=10).error["ename"] == "Interrupted"
    assert fresh.run("1 + 1", timeout=START).result == "2"


def test_without_a_toolchain_commands_work_and_rust_says_what_is_missing(
    start: Start, empty_home: dict[str, str]
) -> None:
    bare = start(empty_home)
    assert bare.run("%bp help").status == "ok"
    answer = bare.run("1 + 1")
    assert answer.status == "error"
    assert "rustup.rs" in answer.error["evalue"]


def test_restart_and_shutdown_leave_nothing_behind(start: Start, tmp_path: Path) -> None:
    session = start(os.environ | {"TMPDIR": str(tmp_path)})
    session.run("let gone = 1;", timeout=START)
    assert list(tmp_path.glob("bioimage-kernel-*"))
    session.manager.restart_kernel(now=False)
    session.client.wait_for_ready(timeout=60)
    answer = session.run("gone", timeout=START)
    assert (answer.status, answer.reply["content"]["execution_count"]) == ("error", 1)
    reply = session.client.shutdown(reply=True, timeout=10)
    assert reply["content"] == {"status": "ok", "restart": False}
    deadline = time.monotonic() + 10
    while session.manager.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session.manager.is_alive()
    assert list(tmp_path.glob("bioimage-kernel-*")) == []


def test_what_a_killed_kernel_leaves_is_removed_by_the_next(start: Start, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed, living = start(environment), start(environment)
    before = set(tmp_path.glob("bioimage-kernel-*"))
    assert len(before) == 2
    provisioner = killed.manager.provisioner
    assert provisioner is not None
    os.kill(provisioner.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    while killed.manager.is_alive():
        time.sleep(0.05)
    start(environment)
    deadline = time.monotonic() + 10
    while len(before & set(tmp_path.iterdir())) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    (left,) = before & set(tmp_path.iterdir())
    assert living.run("1 + 1", timeout=START).result == "2"
    assert left.is_dir()


def test_install_and_uninstall(tmp_path: Path) -> None:
    environment = os.environ | {"JUPYTER_DATA_DIR": str(tmp_path)}
    for task, present in [("install", True), ("uninstall", False)]:
        command = [kernel_program(), task]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        folder = tmp_path / "kernels/bioimage-rust"
        assert str(folder) in done.stdout
        assert (folder / "kernel.json").exists() == present
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "cannot remove" in again.stderr
