"""Writes ONNX files for ONNX Runtime, from images float32 [batch, height, width, 3] in [0, 1] to logits and probabilities."""

import pathlib
import tempfile

import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.serving.exports.export_input import ExportInput

_OPSET = 18  # the newest that tf2onnx 1.17 writes
# These operations take the time; int8 in the others, such as whitening and softmax, costs accuracy and gains little.
_QUANTIZED = ("Conv", "MatMul", "Gemm")


def write(given: ExportInput, path: pathlib.Path, precision: str) -> None:
    """Writes a network as an ONNX file.

    Args:
      precision: "float32", or "int8", which is calibrated with the given pictures.
    """
    if precision == "int8":
        return _write_int8(given, path)
    tf2onnx, _ = _packages()
    from nasnet_tf.serving.exports import onnx_graph  # noqa: PLC0415  it imports onnx, which comes with tf2onnx

    @tf.function(autograph=False, input_signature=[given.images_spec])
    def infer(images):
        return {name: tf.identity(value, name) for name, value in given.answer(images).items()}

    model, _ = tf2onnx.convert.from_function(infer, input_signature=[given.images_spec], opset=_OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx_graph.rewrite(model)
    path.write_bytes(model.SerializeToString())
    return None


def _write_int8(given: ExportInput, path: pathlib.Path) -> None:
    _, onnxruntime = _packages()
    from onnxruntime import quantization  # noqa: PLC0415

    class Pictures(quantization.CalibrationDataReader):
        def __init__(self):
            self._remaining = iter(given.calibration_pictures)

        def get_next(self):
            image = next(self._remaining, None)
            return None if image is None else {"images": image[None]}

    with tempfile.TemporaryDirectory() as folder:
        floats, prepared = path.with_name("float32.onnx"), f"{folder}/prepared.onnx"
        if not floats.is_file():
            floats = pathlib.Path(folder, floats.name)
            write(given, floats, "float32")
        quantization.shape_inference.quant_pre_process(str(floats), prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            str(path),
            Pictures(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            activation_type=quantization.QuantType.QUInt8,  # twice as fast as QInt8 where there is no VNNI
            per_channel=True,
            reduce_range=True,  # weights of 7 bits: CPUs without VNNI add up products in 16 bits, which overflow with 8
        )


def _packages():
    try:
        import onnxruntime  # noqa: PLC0415
        import tf2onnx.convert  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"onnx: cannot import the packages tf2onnx and onnxruntime ({error}); they come with: pip install 'nasnet_tf[onnx]'"
        ) from error
    return tf2onnx, onnxruntime
