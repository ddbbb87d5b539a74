"""Networks of genotypes in Keras' own layers, written like keras/src/applications/nasnet.py."""

import functools

import keras

from nasnet_tf.genotype import Combine, Genotype, Operation
from nasnet_tf.models.network import NetworkConfig


def keras_network(genotype: Genotype, config: NetworkConfig, num_classes: int, image_size: int) -> keras.Model:
    """Returns a network with the CIFAR stem. The genotype may only have the operations of keras/src/applications/nasnet.py."""
    layers = keras.layers

    def norm(hidden):
        return layers.BatchNormalization(momentum=config.batch_norm_momentum, epsilon=config.batch_norm_epsilon)(hidden)

    def conv(hidden, filters, size=1, stride=1):
        return layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(hidden)

    def separable(hidden, filters, size, stride):
        for step in (stride, 1):
            hidden = layers.SeparableConv2D(filters, size, step, padding="same", use_bias=False)(layers.ReLU()(hidden))
            hidden = norm(hidden)
        return hidden

    def halve(hidden, filters):
        even = layers.AveragePooling2D(1, 2)(hidden)
        odd = layers.AveragePooling2D(1, 2)(layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(hidden)))
        return norm(layers.Concatenate()([conv(even, filters // 2), conv(odd, filters - filters // 2)]))

    def pool(layer, size, hidden, filters, stride):
        hidden = layer(size, stride, padding="same")(hidden)
        return hidden if hidden.shape[-1] == filters else norm(conv(hidden, filters))

    def identity(hidden, filters, stride):
        return hidden if stride == 1 and hidden.shape[-1] == filters else norm(conv(layers.ReLU()(hidden), filters, 1, stride))

    operations = {
        Operation.IDENTITY: identity,
        Operation.AVG_POOL_3X3: functools.partial(pool, layers.AveragePooling2D, 3),
        Operation.MAX_POOL_3X3: functools.partial(pool, layers.MaxPooling2D, 3),
        Operation.SEP_CONV_3X3: functools.partial(separable, size=3),
        Operation.SEP_CONV_5X5: functools.partial(separable, size=5),
        Operation.SEP_CONV_7X7: functools.partial(separable, size=7),
    }

    def cell(message, newest, older, filters, is_reduction):
        states = [norm(conv(layers.ReLU()(newest), filters)), newest if older is None else older]
        if older is not None and older.shape[1] != newest.shape[1]:
            states[1] = halve(layers.ReLU()(older), filters)
        elif older is not None and older.shape[-1] != filters:
            states[1] = norm(conv(layers.ReLU()(older), filters))
        for block in message.blocks:
            assert block.combine == Combine.ADD
            sides = [
                operations[side.operation](states[side.input], filters=filters, stride=2 if is_reduction and side.input < 2 else 1)
                for side in (block.left, block.right)
            ]
            states.append(layers.Add()(sides))
        chosen = [states[state] for state in message.outputs[0].states]
        for index, state in enumerate(message.outputs[0].states):
            if state < 2 and is_reduction:
                chosen[index] = halve(chosen[index], filters)
            elif state < 2 and chosen[index].shape[-1] != filters:
                chosen[index] = norm(conv(chosen[index], filters))
        return layers.Concatenate()(chosen), newest

    images = keras.Input((image_size, image_size, 3))
    newest, older = norm(conv(images, int(config.filters * config.stem_multiplier), 3)), None
    for stack in range(3):
        if stack > 0:
            newest, older = cell(genotype.reduction_cell, newest, older, config.filters * 2**stack, is_reduction=True)
        for _ in range(config.cells_per_stack):
            newest, older = cell(genotype.normal_cell, newest, older, config.filters * 2**stack, is_reduction=False)
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(newest))
    return keras.Model(images, layers.Dense(num_classes)(features))
