"""Package of nasnet_tf. Exact versions known to pass are in constraints.txt."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent

setup(
    name="nasnet_tf",
    version=re.search(r'__version__ = "(.+)"', (HERE / "nasnet_tf" / "__init__.py").read_text())[1],
    description="NASNet as a method: search for cells, stack them into networks, train, export and use these",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The recipes live in the top-level folder gin/ and are installed inside the package: a top-level package `gin` would hide gin-config.
    packages=[*find_packages(include=["nasnet_tf", "nasnet_tf.*"]), "nasnet_tf.recipes"],
    package_dir={"nasnet_tf.recipes": "gin"},
    package_data={
        "nasnet_tf.recipes": ["*.gin"],
        "nasnet_tf.genotype": ["*.proto", "published/*.textproto"],
        "nasnet_tf.data": ["digits/**/*", "imagenet_classes.txt"],
    },
    install_requires=[
        "absl-py>=2.1",
        "gin-config>=0.5,<0.6",
        "h5py>=3.11",
        "importlib_resources>=6",  # tensorflow-datasets 4.9.10 imports it without saying so
        "keras>=3.15,<4",
        "keras-tuner>=1.4.8,<2",
        "matplotlib>=3.9",
        "numpy>=2",
        "pebble>=5.1,<6",
        "protobuf>=6.31.1,<8",  # genotype_pb2.py is generated code of 6.31.1
        "scikit-learn>=1.5",  # KerasTuner's Bayesian optimization, which does not say so
        "tensorboard>=2.20,<3",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.10,<5",
        "tensorflow-serving-api>=2.21,<2.22",  # the messages of its warm-up requests
        "wrapt>=1.14",
    ],
    extras_require={
        "dev": [
            "ai-edge-litert>=2.1,<3",
            "fastapi>=0.115",
            "python-multipart>=0.0.20",
            "httpx>=0.28",
            "hypothesis>=6.100",
            "onnxruntime>=1.20",
            "psutil>=6",
            "pycocotools>=2.0.11,<3",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ray>=2.60,<3",
            "ruff==0.17.6",
            "tf2onnx>=1.17,<2",
            "uvicorn>=0.34",
        ],
        "detection": ["pycocotools>=2.0.11,<3"],  # COCO's metric
        "onnx": ["onnxruntime>=1.20", "tf2onnx>=1.17,<2"],
        "tflite": ["ai-edge-litert>=2.1,<3"],
        # tools/serve_example.py
        "serve": ["fastapi>=0.115", "onnxruntime>=1.20", "pillow>=10", "python-multipart>=0.0.20", "uvicorn>=0.34"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "ray": ["ray>=2.60,<3"],  # a search on several machines
    },
)
