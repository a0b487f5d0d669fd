from launch.progress import Reporter, _duration, _rate
from loop.watch import Progress


def test_plain_lines_where_there_is_no_terminal(tmp_path, capsys):
    with Reporter(tmp_path / "log.txt") as reporter:
        reporter.say("2 cells")
        reporter.tell(Progress(2, 8, 150, 600, 0.6284, 107_400.0, 76.2))
    err = capsys.readouterr().err.splitlines()
    assert err == ["2 cells", "generation 3/8, step 150/600, loss 0.628, 107 k tokens/s, 1 min 16 s left"]
    assert [line.split(" ", 1)[1] for line in (tmp_path / "log.txt").read_text().splitlines()] == err


def test_plain_lines_are_thinned_by_time_and_the_log_has_all(tmp_path, capsys, monkeypatch):
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    with Reporter(tmp_path / "log.txt") as reporter:
        for t in range(2):
            for step in range(1, 101):
                clock += 0.3
                reporter.tell(Progress(t, 2, step, 100, 0.5, 1e3, 1.0, done=step == 100))
    steps = [int(line.split("step ")[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert steps == [1, 35, 69, 100] * 2  # every 34 steps take 10.2 seconds; the first and the last are always there
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 200


def test_a_log_that_cannot_be_written_is_noted_once(tmp_path, capsys):
    with Reporter(tmp_path / "none" / "log.txt") as reporter:
        reporter.say("one")
        reporter.say("two")
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if "cannot be written" not in line] == ["one", "two"] and len(err) == 3


def test_numbers_a_person_reads():
    assert [_rate(x) for x in (900.0, 53_210.0, 2_340_000.0)] == ["1 k", "53 k", "2.3 M"]
    assert [_duration(x) for x in (0.4, 59.7, 61, 3_599.9, 7_260, float("inf"))] == [
        "0 s",
        "1 min 0 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 1 min",
        "unknown time",
    ]
