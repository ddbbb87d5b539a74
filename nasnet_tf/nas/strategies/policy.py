"""The controller: a recurrent policy over the decisions of a search space (paper section 3 and appendix A.2).

A one-layer LSTM of 100 units takes one step per decision. Each decision has its own softmax on the LSTM's output, and an embedding of the
choice is the input of the next step. The probability of an architecture is the product of the probabilities of its decisions.

The paper leaves four details open. Here embeddings have 16 numbers. Each decision has its own table of embeddings, because choice 3 of one
decision is unrelated to choice 3 of another. The first step's input is zero, and the forget gate has no extra bias.
"""

from collections.abc import Sequence

import tensorflow as tf

INIT_RANGE = 0.1  # appendix A.2: "initialized uniformly between -0.1 and 0.1"
EMBEDDING_WIDTH = 16  # enough to represent 13 choices independently; a wider embedding only costs time
DEVICE = "/CPU:0"  # the LSTM is a chain of tiny matrix products: an accelerator would add latency, and the children need it
# Arguments that make TensorFlow's fused LSTM kernels compute a plain LSTM. One operation for a whole sequence traces five times faster than
# a loop unrolled in Python.
PLAIN_LSTM = {"forget_bias": 0.0, "cell_clip": -1.0, "use_peephole": False}


class Controller(tf.Module):
    """The LSTM policy and its weights.

    All softmaxes are padded to the size of the largest one. The logits of the padding are -inf, so its probability is 0.
    """

    def __init__(self, sizes: Sequence[int], seed: int, hidden_units: int):
        """Creates a policy with initial weights that depend only on the arguments.

        Args:
          sizes: number of choices of each decision, each at least 1 (`SearchSpace.sizes`).
          seed: seed of the initial weights, an int32.
          hidden_units: number of units of the LSTM (100 in the paper).
        """
        super().__init__()
        self._num_choices = max(sizes)
        shapes = {
            "embeddings": (len(sizes) - 1, self._num_choices, EMBEDDING_WIDTH),
            "lstm_kernel": (EMBEDDING_WIDTH + hidden_units, 4 * hidden_units),
            "lstm_bias": (4 * hidden_units,),
            "softmax_kernel": (len(sizes), hidden_units, self._num_choices),
            "softmax_bias": (len(sizes), self._num_choices),
        }
        with tf.device(DEVICE):
            for index, (name, shape) in enumerate(shapes.items()):
                # Negative seeds, because the seeds of `sample` count up from 0.
                value = tf.random.stateless_uniform(shape, (seed, -1 - index), -INIT_RANGE, INIT_RANGE)
                setattr(self, f"_{name}", tf.Variable(value, name=name))
            self._allowed = tf.sequence_mask(sizes, self._num_choices)  # bool [num_decisions, num_choices]
            self._no_peephole = tf.zeros([hidden_units])

    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)], autograph=False)
    def sample(self, batch_seed: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws architectures; equal seeds and weights give equal architectures.

        Args:
          batch_seed: int32 [2]; the second number is 0 or more, because negative ones seed the initial weights.
          count: int32 scalar, number of architectures.

        Returns:
          decisions: int32 [count, num_decisions], each in [0, number of choices).
          log_probs: float32 [count, num_decisions], natural logarithms of the probabilities with which the decisions were drawn.
        """
        with tf.device(DEVICE):
            noise = self._noise(batch_seed, count)
            inputs = tf.zeros([count, EMBEDDING_WIDTH])
            hidden = memory = tf.zeros([count, len(self._no_peephole)])
            embeddings = [*tf.unstack(self._embeddings), None]  # the last decision needs no embedding, as no step follows it
            steps = zip(*map(tf.unstack, (self._softmax_kernel, self._masked_softmax_bias(), noise)), embeddings, strict=True)
            decisions, logits = [], []
            for kernel, bias, step_noise, embedding in steps:
                cell = tf.raw_ops.LSTMBlockCell(x=inputs, cs_prev=memory, h_prev=hidden, **self._lstm_weights(), **PLAIN_LSTM)
                hidden, memory = cell.h, cell.cs
                logits.append(hidden @ kernel + bias)
                decisions.append(tf.argmax(logits[-1] + step_noise, axis=-1, output_type=tf.int32))
                if embedding is not None:
                    inputs = tf.gather(embedding, decisions[-1])
            decisions = tf.stack(decisions, axis=1)
            return decisions, tf.gather(tf.nn.log_softmax(tf.stack(logits, axis=1)), decisions, batch_dims=2)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def log_probs_and_entropy(self, decisions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the log-probabilities of given decisions, and the entropies, under the current policy.

        Args:
          decisions: int32 [n, num_decisions], each in [0, number of choices).

        Returns:
          log_probs: float32 [n, num_decisions], natural logarithms of the probability of each decision given those before it.
          entropy: float32 [n, num_decisions], entropy of the softmax of each decision, in nats, in [0, log(number of choices)].
        """
        with tf.device(DEVICE):
            one_hot = tf.one_hot(tf.transpose(decisions), self._num_choices)  # [num_decisions, n, num_choices]
            all_log_probs = self._all_log_probs(one_hot)
            finite = tf.where(self._allowed[:, tf.newaxis], all_log_probs, 0.0)  # zero times -inf would be NaN
            entropy = -tf.reduce_sum(tf.exp(all_log_probs) * finite, axis=-1)
            return tf.transpose(tf.reduce_sum(one_hot * finite, axis=-1)), tf.transpose(entropy)

    @tf.function(
        input_signature=[tf.TensorSpec([2], tf.int32), *[tf.TensorSpec([], tf.int32)] * 2, tf.TensorSpec([None], tf.int32)], autograph=False
    )
    def redraw(self, batch_seed: tf.Tensor, count: tf.Tensor, place: tf.Tensor, decisions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Measures how close given decisions are to being drawn by `sample(batch_seed, count)` at index `place`.

        Args:
          batch_seed: int32 [2], as for `sample`.
          count: int32 scalar, as for `sample`.
          place: int32 scalar, index of the architecture in the batch, in [0, count).
          decisions: int32 [num_decisions].

        Returns:
          log_probs: float32 [num_decisions], log-probabilities of the decisions.
          shortfall: float32 [num_decisions], in nats. Given the decisions before it, each decision's score is this much below the score of
            the choice that would be drawn; 0 if the decision itself would be drawn.
        """
        with tf.device(DEVICE):
            one_hot = tf.one_hot(decisions, self._num_choices)[:, tf.newaxis]
            log_probs = self._all_log_probs(one_hot)[:, 0]
            scores = log_probs + self._noise(batch_seed, count)[:, place]
            chosen, drawn = (tf.gather(values, decisions, batch_dims=1) for values in (log_probs, scores))
            return chosen, tf.reduce_max(scores, axis=1) - drawn

    def _noise(self, batch_seed: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Draws Gumbel noise [num_decisions, count, num_choices]; the argmax of logits plus noise is a sample of their softmax."""
        uniform = tf.random.stateless_uniform([len(self._allowed), count, self._num_choices], batch_seed, minval=1e-30)
        return -tf.math.log(-tf.math.log(uniform))

    def _all_log_probs(self, one_hot: tf.Tensor) -> tf.Tensor:
        """Computes the log-probability of every choice given the decisions before it, [num_decisions, n, num_choices].

        The padding has -inf.
        """
        inputs = tf.pad(one_hot[:-1] @ self._embeddings, [[1, 0], [0, 0], [0, 0]])
        zeros = tf.zeros([tf.shape(one_hot)[1], len(self._no_peephole)])
        hidden = tf.raw_ops.BlockLSTM(
            seq_len_max=len(self._allowed), x=inputs, cs_prev=zeros, h_prev=zeros, **self._lstm_weights(), **PLAIN_LSTM
        ).h
        return tf.nn.log_softmax(hidden @ self._softmax_kernel + self._masked_softmax_bias()[:, tf.newaxis])

    def _masked_softmax_bias(self) -> tf.Tensor:
        return tf.where(self._allowed, self._softmax_bias, -float("inf"))

    def _lstm_weights(self) -> dict[str, tf.Tensor]:
        peepholes = dict.fromkeys(("wci", "wcf", "wco"), self._no_peephole)
        return {"w": self._lstm_kernel, "b": self._lstm_bias, **peepholes}
