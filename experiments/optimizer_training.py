"""The trainer of learned optimizers: its flags, and a new one as they say."""

import math

import keras
from absl import flags

from meta_keras.layers import CoordinatewiseLSTM, GroupedCell, is_convolution_kernel
from meta_keras.optimizers import OptimizerTrainer
from meta_keras.problems import RandomlyScaled

FLAGS = flags.FLAGS

flags.DEFINE_integer("optimizations", 1500, "Optimizations to learn from.", lower_bound=1)
flags.DEFINE_integer(
    "steps",
    100,
    "Steps of an optimization, after which optimizers are compared.",
    lower_bound=1,
)
flags.DEFINE_list(
    "curriculum",
    None,
    "Growing numbers of steps, such as 50,100,200: each is trained on for an equal share of the "
    "updates that --optimizations of --steps would be (Chen et al. 2020).",
)
flags.DEFINE_integer("unroll_steps", 20, "Steps of a truncation.", lower_bound=1)
flags.DEFINE_bool(
    "second_order",
    False,
    "Differentiate through the gradients the cell sees; the paper holds them constant "
    "(Andrychowicz et al. 2016, section 2).",
)
flags.DEFINE_bool(
    "recompute",
    False,
    "Gradient checkpointing, for a large --unroll_steps (Chen, Xu, Zhang & Guestrin 2016, "
    "'Training deep nets with sublinear memory cost').",
)
flags.DEFINE_list("units", ["20", "20"], "Widths of the LSTM layers.")
flags.DEFINE_bool(
    "grouped",
    False,
    "A cell of its own for the kernels of convolutions, as Andrychowicz et al. 2016, section 3.3, "
    "have two LSTMs, one for convolutional and one for fully connected layers.",
)
flags.DEFINE_enum(
    "preprocessing",
    "combined",
    ["none", "log_and_sign", "rnnprop", "combined"],
    "What the cell sees of a gradient: itself (the paper on quadratics), its logarithm and "
    "sign (on networks), gradient and mean over the root mean square (Lv et al. 2017), or, this "
    "project's own, both of the latter.",
)
flags.DEFINE_float("output_scale", 0.1, "Factor on the cell's output.", lower_bound=0.0)
flags.DEFINE_float(
    "gradient_rate",
    0.0,
    "Adds a gated step along the gradient itself that starts with this learning rate, this "
    "project's own, see `CoordinatewiseLSTM`; 0: none, as in the paper.",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "random_scale",
    0.0,
    "s: every coordinate is scaled by exp(U(-s, s)) in training (Lv et al. 2017).",
    lower_bound=0.0,
)
flags.DEFINE_enum(
    "loss_weights",
    "equal",
    ["equal", "linear"],
    "Weights w_t of the meta-loss: all 1 as in the paper, which allows any, or, this project's "
    "own choice, in proportion to t.",
)
flags.DEFINE_float("learning_rate", 3e-3, "Adam's first rate; cosine decay to 0.", lower_bound=0.0)
flags.DEFINE_float("clip_norm", 1.0, "Global norm of the meta-gradient at most.", lower_bound=0.0)
flags.DEFINE_integer(
    "validation_interval", 100, "Optimizations between validations.", lower_bound=1
)

flags.register_multi_flags_validator(
    ["steps", "unroll_steps"],
    lambda f: f["steps"] % f["unroll_steps"] == 0,
    "--steps must be a multiple of --unroll_steps",
)
flags.register_multi_flags_validator(
    ["curriculum", "unroll_steps"],
    lambda f: all(
        h.isdecimal() and int(h) > 0 and int(h) % f["unroll_steps"] == 0
        for h in f["curriculum"] or []
    ),
    "--curriculum must be positive multiples of --unroll_steps such as 100,200",
)
flags.register_multi_flags_validator(
    ["optimizations", "validation_interval"],
    lambda f: f["optimizations"] % min(f["validation_interval"], f["optimizations"]) == 0,
    "--optimizations must be a multiple of --validation_interval (or below it)",
)
flags.register_validator(
    "units",
    lambda units: bool(units) and all(u.isdecimal() and int(u) > 0 for u in units),
    "must be a list of positive integers such as 20,20",
)
flags.register_multi_flags_validator(
    ["curriculum", "optimizations", "steps", "unroll_steps"],
    lambda f: len(f["curriculum"] or []) <= f["optimizations"] * f["steps"] // f["unroll_steps"],
    "--curriculum must not have more horizons than there are updates, --optimizations * --steps / "
    "--unroll_steps",
)
for _name in ("learning_rate", "clip_norm", "output_scale"):
    flags.register_validator(_name, lambda v: 0 < v < math.inf, "must be positive and finite")
for _name in ("gradient_rate", "random_scale"):
    flags.register_validator(_name, math.isfinite, "must be finite")


def horizons():
    """Steps of an optimization in training, one after the other."""
    return [int(horizon) for horizon in FLAGS.curriculum or [FLAGS.steps]]


def linear_weights(steps):
    """w_t in proportion to t, 1 on average: this project's own choice."""
    return [2.0 * t / (steps + 1) for t in range(1, steps + 1)]


def training_problem(problem):
    return RandomlyScaled(problem, FLAGS.random_scale) if FLAGS.random_scale else problem


def new_trainer(problem, validation_problem, updates):
    def new_cell():
        return CoordinatewiseLSTM(
            tuple(int(width) for width in FLAGS.units),
            FLAGS.preprocessing,
            output_scale=FLAGS.output_scale,
            gradient_rate=FLAGS.gradient_rate or None,
        )

    cell = new_cell()
    if FLAGS.grouped:
        cell = GroupedCell([new_cell(), cell], [is_convolution_kernel])
    longest = max(horizons())
    trainer = OptimizerTrainer(
        cell,
        problem,
        unroll_steps=FLAGS.unroll_steps,
        second_order=FLAGS.second_order,
        loss_weights=linear_weights(longest) if FLAGS.loss_weights == "linear" else None,
        recompute=FLAGS.recompute,
        horizon=longest,
        validation_problem=validation_problem,
    )
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, updates)
    trainer.compile(keras.optimizers.Adam(rate, global_clipnorm=FLAGS.clip_norm))
    return trainer
