import os
import re
import sys

import controller_speed


def test_reports_milliseconds(monkeypatch, capsys):
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)  # the tests after this one may use all cores
    monkeypatch.setattr(sys, "argv", ["controller_speed.py", "--rounds=2", "--minibatch=2", "--hidden_units=4", "--epochs=1"])
    controller_speed.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["sampling", "updating", "together"]
    for line in lines:
        assert re.fullmatch(r"\w+: [0-9.]+ ms, [0-9.]+ ms of processor time", line)
        assert float(line.split()[1]) > 0
