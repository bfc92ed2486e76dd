"""The learner of few-shot experiments: its flags, a new one, or one from a preset."""

import keras
from absl import flags

from experiments import program
from meta_keras import networks
from meta_keras.layers import GatedLSTMCell
from meta_keras.learners import LSTMMetaLearner

FLAGS = flags.FLAGS

flags.DEFINE_enum("method", "lstm", ["lstm"], "Meta-learner: lstm (Ravi & Larochelle 2017).")
flags.DEFINE_string("preset", None, "Start from this preset (a name or a folder).")
flags.DEFINE_integer("inner_steps", 1, "T, steps on the support set.", lower_bound=1)
flags.DEFINE_integer(
    "inner_batch_size", None, "Support pictures a step; all if not given.", lower_bound=1
)
flags.DEFINE_bool("second_order", True, "Differentiate through the gradients the cell sees.")
flags.DEFINE_enum(
    "batch_norm",
    "transductive",
    ["transductive", "inductive"],
    "Statistics for query pictures at test: their own batch's, or those of the support steps.",
)
flags.DEFINE_bool(
    "divide_gradient_by_batch",
    False,
    "Divide the mean loss's gradient by the batch size once more, as the paper's official code.",
)
flags.DEFINE_integer("filters", 32, "Filters of every convolution.", lower_bound=1)
flags.DEFINE_enum(
    "downsample",
    "pool",
    ["pool", "stride"],
    "Network with max pooling (the paper's) or strided convolutions (Finn et al. 2017).",
)
flags.DEFINE_enum(
    "logits_initializer",
    "zeros",
    ["zeros", "glorot_uniform"],
    "Initial kernel of the network's last layer; zeros: all classes start out alike.",
)
flags.DEFINE_float(
    "input_gate_bias", 2.0, "Initial b_I; sigmoid(b_I) is the first inner learning rate."
)
flags.DEFINE_float("forget_gate_bias", 6.0, "Initial b_F; sigmoid(b_F) is the first forget gate.")
flags.DEFINE_bool("mixed_precision", False, "Network in bfloat16, cell and weights in float32.")

IMAGE_SHAPE = (28, 28, 1)
# What a preset brings itself.
NEW_LEARNER_FLAGS = (
    "inner_steps",
    "inner_batch_size",
    "second_order",
    "divide_gradient_by_batch",
    "filters",
    "downsample",
    "logits_initializer",
    "input_gate_bias",
    "forget_gate_bias",
    "mixed_precision",
)


def load_preset():
    """The learner of `--preset`; flags that a learner can tell are set to what it is.

    Raises:
        PresetError: there is no such preset.
        UsageError: it is for another number of classes, or a flag was given that it brings itself.
    """
    learner = LSTMMetaLearner.from_preset(FLAGS.preset)
    classes = learner.network.output_shape[-1]
    if classes != FLAGS.nway:
        raise program.UsageError(
            f"--preset={FLAGS.preset} is for {classes} classes, not --nway={FLAGS.nway}."
        )
    if learner.network.input_shape[1:] != IMAGE_SHAPE:
        raise program.UsageError(
            f"--preset={FLAGS.preset} is for pictures of shape {learner.network.input_shape[1:]}, "
            f"not {IMAGE_SHAPE}."
        )
    given = [name for name in NEW_LEARNER_FLAGS if FLAGS[name].present]
    if given:
        raise program.UsageError(
            f"--{given[0]}={FLAGS[given[0]].value} cannot be given with --preset={FLAGS.preset}, "
            "which brings its own."
        )
    for name in NEW_LEARNER_FLAGS:  # None: the preset does not tell
        FLAGS.set_default(name, getattr(learner, name, None))
    if FLAGS["batch_norm"].present:
        learner.batch_norm = FLAGS.batch_norm
    FLAGS.set_default("batch_norm", learner.batch_norm)
    return learner


def new_learner():
    """A learner as the flags say."""
    constant = keras.initializers.Constant
    cell = GatedLSTMCell(
        input_gate_bias_initializer=constant(FLAGS.input_gate_bias),
        forget_gate_bias_initializer=constant(FLAGS.forget_gate_bias),
    )
    policy = "mixed_bfloat16" if FLAGS.mixed_precision else "float32"
    network = networks.conv4(
        FLAGS.nway,
        IMAGE_SHAPE,
        filters=FLAGS.filters,
        downsample=FLAGS.downsample,
        logits_initializer=FLAGS.logits_initializer,
        dtype=policy,
    )
    return LSTMMetaLearner(
        network,
        cell,
        inner_steps=FLAGS.inner_steps,
        inner_batch_size=FLAGS.inner_batch_size,
        second_order=FLAGS.second_order,
        batch_norm=FLAGS.batch_norm,
        divide_gradient_by_batch=FLAGS.divide_gradient_by_batch,
    )
