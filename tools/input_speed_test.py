import subprocess
import sys

from nasnet_tf.testing import REPOSITORY


def test_reports_rates_beside_decoding():
    command = [sys.executable, REPOSITORY / "tools" / "input_speed.py", "--source=digits", "--batch_size=8", "--batches=2", "--rounds=2"]
    flags = ["--train_split=train[:64]", '--preprocessing={"kind": "cifar", "image_size": 8}']
    lines = subprocess.run([*command, *flags], check=True, capture_output=True, text=True, timeout=300).stdout.splitlines()
    assert len(lines) == 2 + 3
    assert [line.split(":")[0] for line in lines[2:]] == ["decode", "train", "evaluation"]
    assert lines[2].count("100% of decoding") == 2
    for line in lines[2:]:
        speed, cpu = line.split("; ")
        assert float(speed.split()[1]) > 0
        assert float(cpu.split()[0]) > 0
        assert cpu.split(" ", 1)[1].startswith("ms of CPU an image, ")
