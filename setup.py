"""Builds the package nasnet_tf. constraints.txt pins the exact versions that pass the tests."""

import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent

# Packages of each extra. nasnet_tf/base/extras.py names the extra to install when a package is missing.
TRAIN = [
    "docstring-parser>=0.16,<1",  # --explain
    "gin-config>=0.5,<0.6",
    "google-crc32c>=1.5,<2",  # checksums of TFRecord files
    "importlib_resources>=6",  # tensorflow-datasets 4.9.10 imports it without declaring it
    "scikit-learn>=1.5",  # metrics of classes and labels; KerasTuner's Bayesian optimization needs it without declaring it
    "tensorboard>=2.20,<3",
    "tensorflow-datasets>=4.9.10,<5",
]
PICTURES = ["matplotlib>=3.9"]
PILLOW = "pillow>=10"  # decodes images for `predict` without TensorFlow
EXTRAS = {
    "train": TRAIN,
    "search": [
        *TRAIN,
        *PICTURES,  # the search's report
        "keras-tuner>=1.4.8,<2",
        "pebble>=5.1,<6",
        "scipy>=1.11",  # the Gaussian process of ModelGuided
        "threadpoolctl>=3.1",  # keeps linear algebra on one core
    ],
    "pictures": PICTURES,
    "detection": [*TRAIN, *PICTURES, "pycocotools>=2.0.11,<3"],  # COCO's metric
    "onnx": ["onnxruntime>=1.20", PILLOW, "tf2onnx>=1.17,<2"],
    "tflite": ["ai-edge-litert>=2.1,<3", PILLOW],
    "serving": ["tensorflow-serving-api>=2.21,<2.22"],  # messages of warm-up requests
    "ray": [*TRAIN, "ray>=2.60,<3"],  # searches on several machines, where children read recipes and train
}
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})
# for tools/serve_example.py, which is not in the package
EXTRAS["serve"] = ["fastapi>=0.115", "onnxruntime>=1.20", PILLOW, "python-multipart>=0.0.20", "uvicorn>=0.34"]
EXTRAS["docs"] = ["mkdocs>=1.6,<2", "mkdocs-material>=9.7,<10", "mkdocstrings[python]>=1,<2"]  # builds the documentation site
EXTRAS["dev"] = [
    *EXTRAS["all"],
    *EXTRAS["serve"],
    *EXTRAS["docs"],
    "httpx>=0.28",
    "hypothesis>=6.100",
    "mypy>=2.4,<3",
    "psutil>=6",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff==0.17.6",
    "selenium>=4.20,<5",  # clicks through the report
]
EXTRAS["gpu"] = ["tensorflow[and-cuda]>=2.21,<2.22"]


class BuildWithoutTests(build_py):
    """Leaves out tests, which are in the folders of the modules that they test."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [each for each in modules if not each[1].endswith("_test") and each[1] != "testing"]


setup(
    name="nasnet_tf",
    version=re.search(r'__version__ = "(.+)"', (HERE / "nasnet_tf" / "version.py").read_text())[1],
    description="NASNet as a method: search for cells, stack them into networks, train, export and use these",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",  # Python versions with wheels of TensorFlow 2.21
    cmdclass={"build_py": BuildWithoutTests},
    entry_points={"console_scripts": ["nasnet=nasnet_tf.__main__:main"]},
    # The recipes in gin/ are installed inside the package, because a top-level package `gin` would hide gin-config.
    packages=[*find_packages(include=["nasnet_tf", "nasnet_tf.*"]), "nasnet_tf.recipes.shipped"],
    package_dir={"nasnet_tf.recipes.shipped": "gin"},
    package_data={
        "nasnet_tf": ["py.typed", "*.pyi"],
        "nasnet_tf.recipes.shipped": ["*.gin"],
        "nasnet_tf.genotype": ["*.proto", "published/*.textproto"],
        "nasnet_tf.viz.report": ["*.css", "*.js"],
        "nasnet_tf.data": ["*.pyi", "digits/**/*", "imagenet_classes.txt"],
    },
    install_requires=[
        "absl-py>=2.1",
        "h5py>=3.11",
        "keras>=3.15,<4",
        "lazy-loader>=0.5,<1",  # imports public names when they are first used
        "numpy>=2",
        "protobuf>=6.31.1,<8",  # genotype_pb2.py was generated for 6.31.1
        "safetensors>=0.5,<1",
        "tensorflow>=2.21,<2.22",
        "wrapt>=1.14",
    ],
    extras_require=EXTRAS,
)
