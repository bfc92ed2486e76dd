"""What every learner is: a Keras model from episodes to the logits of their query pictures."""

import copy
import inspect

import keras
import tensorflow as tf

from meta_keras.batch_norm import adding_losses, all_layers
from meta_keras.layers.full_precision import full_precision
from meta_keras.learners import before_xla
from meta_keras.learners.episode_checks import in_words
from meta_keras.learners.target_checks import checked_batch, checked_weights
from meta_keras.measures import check_loss, check_measure, resolved_loss, resolved_metrics
from meta_keras.presets import PresetError, load_preset, model_file, save_preset


class Learner(keras.Model):
    """A Keras model over episodes (tasks), one a batch element.

    What is known of an episode's N classes differs: `EpisodicLearner` sees examples of each,
    `DescribedLearner` a descriptor. The rest is common to all:

        x["query_images"]: [B, N*Q, H, W, C] float,  y = query labels [B, N*Q] int, in [0, N)

    `learner(x)` gives query logits `[B, N*Q, N]`, so that plain Keras drives it: `compile`, `fit`,
    `evaluate`, `predict`, `save`, `keras.models.load_model`.

    Subclasses implement `is_transductive`, `adapt` and what their base class asks for, and keep
    the Keras model that sees the pictures as `network`.

    A learner computes in the dtype of its weights, float32 (or float64), also under a policy of
    mixed precision, which is for networks: what they give is compared, and adapted with, in full
    precision.

    Labels are checked in `fit`, in a call and in `adapt` alike; `class_weight` is refused, as class
    n is another one in every episode. `sample_weight` is `[B]`, of episodes, or `[B, N*Q]`.

    Attributes:
        method: name of the method the learner is of, such as `"maml"`; None if it is of none.
        num_classes: N if the learner tells exactly N classes apart, None if any number.
        network: the `keras.Model` that sees the pictures.
        networks: names of the arguments that are networks, the attributes they are kept as.
    """

    method = None
    networks = ("network",)
    from_logits = True  # Whether outputs are logits; None: neither they nor probabilities.
    tells_classes = True  # Whether they stand for classes.

    def __init__(self, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype, type(self).__name__), **kwargs)

    @property
    def dtype_policy(self):
        return super().dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, dtype):
        policy = full_precision(dtype, type(self).__name__)
        keras.Model.dtype_policy.fset(self, policy)

    @property
    def num_classes(self):
        return None

    def outputs_of(self, x):
        """N of the outputs `[B, N*Q, N]` for a batch: an int or a scalar tensor."""
        return self.num_classes

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """See `keras.Model.compile`.

        Networks of `mixed_float16` get Keras' dynamic loss scaling, as a Keras model has it.

        Raises:
            ValueError: the loss takes probabilities, and the outputs are logits.
        """
        check_loss(type(self).__name__, loss, self.from_logits)
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if kwargs.get("auto_scale_loss", True) and not scaled and self._computes_in_float16():
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        measures = [
            measure
            for name in ("metrics", "weighted_metrics")
            for measure in resolved_metrics(kwargs.get(name))
        ]
        for measure in measures:
            check_measure(type(self).__name__, "metric", measure, self.from_logits)
        # Not by assignment, with which Keras would take them for metrics of the model's own.
        vars(self)["_measures"] = measures
        super().compile(optimizer, loss, **kwargs)

    compile_from_config = model_file.compile_from_config

    def _computes_in_float16(self):
        networks = [getattr(self, name) for name in self.networks]
        layers = [layer for network in networks for layer in all_layers(network)]
        return any(layer.compute_dtype == "float16" for layer in layers)

    def fit(self, x=None, y=None, *args, **kwargs):
        """See `keras.Model.fit`.

        Raises:
            ValueError: labels or pictures are not as `Learner` says, or `class_weight` is given; or
                they come, for a step that is compiled with XLA, in a form in which they cannot be
                looked at before: neither arrays nor a `tf.data.Dataset`.
        """
        given = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        self._refuse_class_weight(given.pop("class_weight", None))
        x, validation = given["x"], given.get("validation_data")
        with in_words():
            given["x"] = before_xla.checked(self, x, y)
            if validation is not None:
                given["validation_data"] = before_xla.checked_validation(self, validation)
            return super().fit(**given)

    def _refuse_class_weight(self, class_weight):
        if class_weight is not None:
            raise ValueError(
                f"{type(self).__name__}: class_weight={class_weight!r} has no meaning here: class "
                "n is another one in every episode; sample_weight is [B] or [B, N*Q]."
            )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        with in_words():
            return super().evaluate(before_xla.checked(self, x, y), y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        with in_words():
            return super().predict(before_xla.checked(self, x), *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        self._refuse_class_weight(class_weight)
        with in_words():
            return super().train_on_batch(
                before_xla.checked(self, x, y), y, sample_weight, **kwargs
            )

    def test_on_batch(self, x, y=None, *args, **kwargs):
        with in_words():
            return super().test_on_batch(before_xla.checked(self, x, y), y, *args, **kwargs)

    def predict_on_batch(self, x):
        with in_words():
            return super().predict_on_batch(before_xla.checked(self, x))

    def checked_inputs(self, x):
        """A batch, once what it says of its classes has been checked; here there is nothing."""
        return x

    def for_xla(self, x):
        """A checked batch with what XLA has to know before a step; here it knows all there is."""
        return x

    def checked_batch(self, data):
        """What Keras gives a step, `(x, y)` or `(x, y, sample_weight)`, its targets checked.

        Returns:
            The same, the weights of episodes spread over their query pictures.
        """
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        name = type(self).__name__
        if y is None and self.loss is not None:
            raise ValueError(f"{name}: the query labels are missing, y=None.")
        if y is not None:
            measures = resolved_loss(self.loss), self._measures
            x = checked_batch(name, y, x, self.outputs_of(x), self.tells_classes, *measures)
        if weight is None:
            return x, y
        weight = checked_weights(name, weight, x)
        return x, y, weight * tf.ones(tf.shape(y)[:2], weight.dtype)

    def train_step(self, data):
        return super().train_step(self.checked_batch(data))

    def test_step(self, data):
        return super().test_step(self.checked_batch(data))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """See `keras.Model.compute_loss`.

        Raises:
            ValueError: a layer adds a loss of its activations.
        """
        adding = adding_losses(self)
        if adding:
            raise ValueError(
                f"{type(self).__name__}: layer {adding[0].name!r} adds a loss of its activations "
                "(an activity_regularizer, or add_loss), which episodes would count wrongly; leave "
                "it out. Regularisers of weights are taken into account."
            )
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def is_transductive(self):
        """Whether the logits of one query picture depend on the other query pictures."""
        raise NotImplementedError

    def adapt(self, *classes):
        """An ordinary `keras.Model`, pictures to logits `[batch, N]`, for the given classes."""
        raise NotImplementedError

    def meta_gradient(self, x, y):
        """The gradient that training follows at a batch `(x, y)`: a list, one per trainable weight.

        Here that of the compiled loss of the query logits. Looking at a gradient is no training:
        it leaves moving statistics as they are.
        """
        statistics = [variable.numpy() for variable in self.non_trainable_variables]
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        for variable, value in zip(self.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        return tape.gradient(loss, [variable.value for variable in self.trainable_variables])

    def adaptation_summaries(self, x, y):
        """What is worth watching while the learner adapts to the first episode of a batch.

        Args:
            x, y: a batch as the learner is fitted on.

        Returns:
            `(scalars, histograms)`: dicts from a tag to a scalar and to a tensor `[n]`. Both are
            empty for a learner that takes no steps.
        """
        return {}, {}

    @classmethod
    def from_preset(cls, preset):
        """A trained learner, not compiled.

        Args:
            preset: name of a preset inside the package (`meta_keras.presets.builtin_presets()`),
                or the path of a folder written by `save_to_preset`.

        Raises:
            PresetError: there is no such preset, it is damaged, or holds another kind of model.
        """
        learner = load_preset(preset)
        if not isinstance(learner, cls):
            raise PresetError(
                f"preset={str(preset)!r} holds {_with_article(type(learner).__name__)}, not "
                f"{_with_article(cls.__name__)}."
            )
        return learner

    def save_to_preset(self, path, card=None):
        """Writes this learner to a new folder `path` for `from_preset`.

        Args:
            path: a folder that does not exist yet or is empty.
            card: JSON-able dict: how the weights were made and what they reach. The learner's
                `method` is added to it.

        Raises:
            PresetError: `path` exists and is not an empty folder.
        """
        save_preset(self, path, {"method": self.method, **(card or {})})

    @classmethod
    def parts(cls):
        """Names of the arguments that are Keras objects, with a configuration of their own."""
        return cls.networks

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self.parts()
        }
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras takes apart what it deserializes.
        for name in cls.parts():
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def one_by_one(function, batches, dtypes):
    """What a function gives for every element of a batch, stacked.

    Args:
        function: of one element of each of `batches`, to a tensor or a nest of tensors.
        batches: tuple of tensors `[B, ...]`.
        dtypes: of the results, in the same nest.
    """
    if batches[0].shape[0] is None:
        return tf.map_fn(lambda parts: function(*parts), batches, fn_output_signature=dtypes)
    # A loop in Python lets the elements run side by side, one a core; on a CPU that is twice as
    # fast as tf.map_fn.
    results = [function(*parts) for parts in zip(*map(tf.unstack, batches), strict=True)]
    return tf.nest.map_structure(lambda *parts: tf.stack(parts), *results)


def _with_article(name):
    return f"{'an' if name.startswith((*'AEIO', 'LSTM')) else 'a'} {name}"
