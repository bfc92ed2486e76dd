"""The learner of few-shot experiments: its flags, a new one, or one from a preset."""

from absl import flags

from experiments import program
from experiments.few_shot_methods import (
    CHOSEN_FOR_ANY_WEIGHTS,
    FREE_FLAGS,
    IMAGE_SHAPE,
    METHODS,
    method_flags,
    method_of,
)
from meta_keras import presets
from meta_keras.learners import EpisodicLearner, GradientBasedLearner

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "method",
    "lstm",
    list(METHODS),
    "Meta-learner: lstm (Ravi & Larochelle 2017), maml, fomaml (Finn et al. 2017), meta_sgd (Li et "
    "al. 2017), reptile (Nichol et al. 2018), prototypical (Snell et al. 2017), matching (Vinyals "
    "et al. 2016), relation (Sung et al. 2018), siamese (Koch et al. 2015). Each has defaults of "
    "its own for other flags; those below are lstm's.",
)
flags.DEFINE_string("preset", None, "Start from this preset (a name or a folder).")
flags.DEFINE_integer("inner_steps", 1, "T, steps on the support set.", lower_bound=1)
flags.DEFINE_integer(
    "test_inner_steps", None, "T in validation and test, if it is another.", lower_bound=1
)
flags.DEFINE_float(
    "inner_learning_rate", None, "alpha, the (for meta_sgd: first) rate of a step.", lower_bound=0.0
)
flags.DEFINE_enum(
    "inner_optimizer", None, ["adam", "sgd"], "Reptile's steps: Adam without momentum, or plain."
)
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
flags.DEFINE_integer(
    "pools",
    4,
    "Blocks of the network that end in max pooling; 3: nine times as many features.",
    lower_bound=0,
    upper_bound=4,
)
flags.DEFINE_enum(
    "logits_initializer",
    "zeros",
    ["zeros", "glorot_uniform"],
    "Initial kernel of the network's last layer; zeros: all classes start out alike.",
)
flags.DEFINE_bool(
    "normalize_features",
    False,
    "A last batch normalisation before the logits; what first-order methods learn well with.",
)
flags.DEFINE_float(
    "input_gate_bias", 2.0, "Initial b_I; sigmoid(b_I) is the first inner learning rate."
)
flags.DEFINE_float("forget_gate_bias", 6.0, "Initial b_F; sigmoid(b_F) is the first forget gate.")
flags.DEFINE_enum(
    "distance",
    None,
    ["euclidean", "cosine"],
    "Prototypical: squared Euclidean distance to the prototypes, or the cosine with them.",
)
flags.DEFINE_float("temperature", None, "What prototypical's and matching's logits are divided by.")
flags.DEFINE_bool("full_context", None, "Matching: embeddings that see the whole support set.")
flags.DEFINE_enum(
    "relation_loss",
    None,
    ["cross_entropy", "mse"],
    "Relation: cross-entropy of the classes, or the paper's squared error of the scores.",
)
flags.DEFINE_bool("mixed_precision", False, "Network in bfloat16, cell and weights in float32.")
flags.register_validator(
    "inner_learning_rate", lambda v: v is None or v > 0, "--inner_learning_rate must be positive"
)
flags.register_validator(
    "temperature", lambda v: v is None or v > 0, "--temperature must be positive"
)


def apply_method():
    """Sets flags that were not given to the defaults of the method, that of `--preset` if given.

    Flags the method does not have become None, so that what is recorded says only what was used.

    Raises:
        PresetError: there is no such preset, or it is damaged.
        UsageError: the preset is of another method, or a flag was given that the method has not.
    """
    if FLAGS.preset:
        found = method_of(presets.preset_config(FLAGS.preset))
        if found is None:
            raise program.UsageError(
                f"--preset={FLAGS.preset} is not of a method of this program "
                f"({', '.join(METHODS)})."
            )
        if FLAGS["method"].present and FLAGS.method != found:
            raise program.UsageError(
                f"--preset={FLAGS.preset} is of --method={found}, not --method={FLAGS.method}."
            )
        FLAGS.set_default("method", found)
    method = METHODS[FLAGS.method]
    for name in sorted(method_flags().difference(method.flags)):
        if FLAGS[name].present:
            raise program.UsageError(
                f"--{name}={FLAGS[name].value} does not apply to --method={FLAGS.method}."
            )
        FLAGS.set_default(name, None)
    for name, value in method.defaults.items():
        FLAGS.set_default(name, value)
    if FLAGS.downsample == "stride":
        if FLAGS["pools"].present:
            raise program.UsageError(
                f"--pools={FLAGS.pools} does not go with --downsample=stride, which has none."
            )
        FLAGS.set_default("pools", None)


def load_preset():
    """The learner of `--preset`; flags that a learner can tell are set to what it is.

    Raises:
        PresetError: there is no such preset.
        UsageError: it is for another number of classes, or a flag was given that it brings itself.
    """
    learner = EpisodicLearner.from_preset(FLAGS.preset)
    classes = learner.network.output_shape[-1]
    if isinstance(learner, GradientBasedLearner) and classes != FLAGS.nway:
        raise program.UsageError(
            f"--preset={FLAGS.preset} is for {classes} classes, not --nway={FLAGS.nway}."
        )
    if learner.network.input_shape[1:] != IMAGE_SHAPE:
        raise program.UsageError(
            f"--preset={FLAGS.preset} is for pictures of shape {learner.network.input_shape[1:]}, "
            f"not {IMAGE_SHAPE}."
        )
    brought = sorted(method_flags().difference(FREE_FLAGS))
    given = [name for name in brought if FLAGS[name].present]
    if given:
        raise program.UsageError(
            f"--{given[0]}={FLAGS[given[0]].value} cannot be given with --preset={FLAGS.preset}, "
            "which brings its own."
        )
    for name in brought:  # None: the preset does not tell
        FLAGS.set_default(name, getattr(learner, name, None))
    for name in set(CHOSEN_FOR_ANY_WEIGHTS).intersection(METHODS[FLAGS.method].flags):
        if FLAGS[name].present:
            setattr(learner, name, FLAGS[name].value)
        FLAGS.set_default(name, getattr(learner, name))
    return learner


def new_learner():
    """A learner as the flags say."""
    return METHODS[FLAGS.method].build()
