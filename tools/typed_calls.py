"""Calls of the public names, for the type checker alone. Each wrong call is marked; mypy reports marks that are not needed."""

import nasnet_tf


def right() -> None:
    """Calls that mypy must accept."""
    model = nasnet_tf.load_nasnet("mobile", num_classes=7, image_size=(240, 320), freeze="cell_7")
    nasnet_tf.count_costs(model).mult_adds.bit_length()
    nasnet_tf.load_classifier("mobile")("photo.jpg", top=3)
    nasnet_tf.NetworkConfig(stem="imagenet", stem_multiplier=1.0, cells_per_stack=4, penultimate_filters=1056)
    small = nasnet_tf.NetworkConfig(stem="cifar", stem_multiplier=3.0, cells_per_stack=1, filters=8)
    network = nasnet_tf.build_network(nasnet_tf.load_genotype("nasnet_a"), small, 10, 32)
    config = nasnet_tf.TrainingConfig(epochs=2, batch_size=8, ema_decay=0.999)
    nasnet_tf.compile_for_fit(network, nasnet_tf.RMSProp(), nasnet_tf.cosine_decay(0.1), config).append(None)
    model, evaluation = nasnet_tf.train(
        "folder:photos", "6 @ 768", workdir="runs/mine", weights=None, bindings={"make_strategy.name": "auto"}
    )
    print(evaluation.accuracy, nasnet_tf.evaluate(model, "folder:photos", class_names=["cat", "dog"]))


def wrong() -> None:
    """Calls that mypy must refuse."""
    nasnet_tf.load_nasnet(7)  # type: ignore[arg-type]
    nasnet_tf.load_nasnet("mobile", num_clases=7)  # type: ignore[call-arg]
    nasnet_tf.load_nasnet("mobile", None, "nasnet_a")  # type: ignore[call-arg]
    nasnet_tf.NetworkConfig(stem="cifar", stem_multiplier=1.0, cells_per_stack="four", filters=8)  # type: ignore[arg-type]
    nasnet_tf.load_nasnett("mobile")  # type: ignore[attr-defined]
    nasnet_tf.export("mobile", {}, 3)  # type: ignore[arg-type]
    nasnet_tf.train("folder:photos")  # type: ignore[call-arg]
    nasnet_tf.evaluate("runs/mine", split=3)  # type: ignore[arg-type]
    nasnet_tf.class_names("digits").upper()  # type: ignore[attr-defined]
