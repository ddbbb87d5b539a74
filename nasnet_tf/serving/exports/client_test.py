"""Tests the client that the documentation shows against a server that only takes TensorFlow Serving's REST form."""

import base64
import http.server
import json
import re
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

from nasnet_tf.testing import REPOSITORY


def shown_client() -> str:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```python client\n(.*?)```", page.read_text(), re.DOTALL)]
    (client,) = blocks
    return client


class TensorFlowServing(http.server.BaseHTTPRequestHandler):
    """Serves POST /v1/models/nasnet:predict by a SavedModel (tensorflow.org/tfx/serving/api_rest: row format, {"b64": ...} for bytes)."""

    signatures = None

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/models/nasnet:predict"
        assert set(request) == {"signature_name", "instances"}
        encoded = [base64.b64decode(each["b64"], validate=True) for each in request["instances"]]
        results = self.signatures[request["signature_name"]](encoded=tf.constant(encoded))
        rows = [
            dict(zip(results, values, strict=True)) for values in zip(*(value.numpy().tolist() for value in results.values()), strict=True)
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"predictions": rows}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def port(tiny_export, monkeypatch):
    loaded = tf.saved_model.load(str(tiny_export))  # classify_encoded is the same as in the serving format
    monkeypatch.setattr(TensorFlowServing, "signatures", loaded.signatures)
    with http.server.HTTPServer(("127.0.0.1", 0), TensorFlowServing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_the_client_in_the_documentation_runs(port, tiny_export):
    script = shown_client().replace("localhost:8501", f"127.0.0.1:{port}")
    digits = sorted((REPOSITORY / "testdata" / "digits").glob("*.png"))[:3]
    result = subprocess.run([sys.executable, "-c", script, *map(str, digits)], cwd=tiny_export, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rows = [line.rsplit(" ", 2) for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == list(map(str, digits))
    assert all(row[1] in "0123456789" and 0 < float(row[2]) <= 1 for row in rows)
