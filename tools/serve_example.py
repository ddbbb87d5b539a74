"""Serves an exported ONNX file over HTTP with FastAPI and ONNX Runtime, for machines without containers or TensorFlow.

  pip install 'nasnet_tf[serve]'
  python tools/serve_example.py --export=exports/mobile --port=8501
  curl -F files=@photo.jpg -F files=@other.png http://127.0.0.1:8501/classify

`--load_test=SECONDS` sends requests to a running server from several threads, and prints requests per second and latencies (p50, p99).
"""

import argparse
import concurrent.futures
import io
import json
import pathlib
import statistics
import time
import urllib.request
import warnings

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 2**26  # as in nasnet_tf.data.decoding
MAX_FILES = 64
MAX_BYTES = 20 * 2**20  # largest size of a file


class Server:
    """The network in onnx/float32.onnx of an export, with the preprocessing and class names of its manifest."""

    def __init__(self, export: pathlib.Path, threads: int = 0):
        import onnxruntime

        manifest = json.loads((export / "manifest.json").read_text())
        self._preprocessing = manifest["preprocessing"]
        self._classes = [each["name"] for each in manifest["classes"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = str(export / "onnx" / "float32.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def classify(self, contents: list[bytes], top: int = 5) -> list[dict]:
        """Returns an answer for each file: {"top": [{"class": ..., "probability": ...}]}, or {"error": ...} if it is not a valid image."""
        views = [self._view(content) for content in contents]
        good = [view for view in views if isinstance(view, np.ndarray)]
        answers = iter(self._session.run(["probabilities"], {"images": np.stack(good)})[0] if good else [])
        return [self._best(next(answers), top) if isinstance(view, np.ndarray) else {"error": view} for view in views]

    def _best(self, probabilities: np.ndarray, top: int) -> dict:
        order = np.argsort(-probabilities, kind="stable")[:top]
        return {"top": [{"class": self._classes[index], "probability": round(float(probabilities[index]), 6)} for index in order]}

    def _view(self, content: bytes) -> np.ndarray | str:
        """Returns the image as evaluation sees it, float32 [size, size, 3] in [0, 1], or an error message.

        Pillow's resampling differs slightly from TensorFlow's.
        """
        if len(content) > MAX_BYTES:
            return f"file too large: {len(content)} bytes; expected at most {MAX_BYTES}"
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return f"image too large: {image.width} x {image.height} pixels; expected at most {MAX_PIXELS}"
                image = ImageOps.exif_transpose(image).convert("RGB")
        except Exception as error:  # Pillow raises many kinds of errors
            return f"cannot be decoded as an image ({type(error).__name__})"
        size, fraction = self._preprocessing["image_size"], self._preprocessing.get("central_fraction", 1.0)
        left, upper = int(image.width * (1 - fraction) / 2), int(image.height * (1 - fraction) / 2)
        image = image.crop((left, upper, image.width - left, image.height - upper)).resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32) / 255


def make_app(server: Server):
    """Returns the FastAPI application."""
    from fastapi import FastAPI, File, HTTPException, UploadFile

    app = FastAPI()

    @app.post("/classify")
    def classify(files: list[UploadFile] = File(), top: int = 5) -> list[dict]:  # noqa: B008  FastAPI requires it
        if len(files) > MAX_FILES:
            raise HTTPException(413, f"{len(files)} files; expected at most {MAX_FILES}")
        answers = server.classify([file.file.read(MAX_BYTES + 1) for file in files], top)
        return [{"file": file.filename, **answer} for file, answer in zip(files, answers, strict=True)]

    return app


def load_test(url: str, content: bytes, seconds: float, clients: int) -> dict:
    """Sends requests with one image each from several threads, and returns their rate and latencies."""
    boundary = b"0123456789abcdef"
    head = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' % boundary
    body = head + content + b"\r\n--" + boundary + b"--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    end = time.perf_counter() + seconds

    def client(_) -> list[float]:
        times = []
        while (start := time.perf_counter()) < end:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
                json.load(answer)
            times.append(time.perf_counter() - start)
        return times

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        times = sum(pool.map(client, range(clients)), [])
    percentiles = statistics.quantiles(times, n=100)
    return {"requests_per_second": len(times) / seconds, "p50_ms": 1000 * percentiles[49], "p99_ms": 1000 * percentiles[98]}


def main() -> None:
    """Runs a server, or a load test of a running one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=pathlib.Path, help="folder written by nasnet export --format=onnx")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--threads", type=int, default=0, help="threads of ONNX Runtime; 0: one per core")
    parser.add_argument("--load_test", type=float, help="duration in seconds; tests a running server")
    parser.add_argument("--image", type=pathlib.Path, help="image to send in the load test")
    parser.add_argument("--clients", type=int, default=4, help="number of threads in the load test")
    options = parser.parse_args()
    if options.load_test:
        url = f"http://{options.host}:{options.port}/classify"
        print(json.dumps(load_test(url, options.image.read_bytes(), options.load_test, options.clients)))
    else:
        import uvicorn

        uvicorn.run(make_app(Server(options.export, options.threads)), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
