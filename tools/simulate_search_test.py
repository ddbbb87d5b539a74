"""A simulated search of a few trials, from end to end, killed and gone on with."""

import json
import pathlib
import subprocess
import sys

TOOL = pathlib.Path(__file__).with_name("simulate_search.py")


def test_simulates_and_goes_on(tmp_path):
    def run(trials):
        options = [f"--workdir={tmp_path}", f"--trials={trials}", "--workers=8", "--seeds=1", "--strategies", "random", "evolution"]
        subprocess.run([sys.executable, str(TOOL), *options], check=True, timeout=240, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads((tmp_path / "summary.json").read_text())

    first = run(60)
    assert [row["strategy"] for row in first] == ["random", "evolution"]
    assert (tmp_path / "figure6.svg").stat().st_size > 1000
    before = (tmp_path / "random-0" / "journal.jsonl").read_bytes()
    second = run(90)
    assert (tmp_path / "random-0" / "journal.jsonl").read_bytes().startswith(before)
    for row in second:
        curves = row["curves"]
        assert curves["trials"][-1] <= 90
        assert curves["1"][0] >= curves["25"][0]
        assert 0.7 < curves["25"][-1] < 1.0
    assert before.count(b'"failed"') <= 12  # of about 60, at three in a hundred
