"""What trainers of learned optimizers have in common: what they take of Keras."""

import keras

from meta_keras.errors import SettingError
from meta_keras.optimizers.trainer_settings import same_policy
from meta_keras.presets import model_file


class TruncationTrainer(keras.Model):
    """A model that is trained on truncations of optimizations, and has a loss of its own.

    Attributes:
        cell: a `meta_keras.layers.Cell`.
        made_by: names of the functions that make the data for `fit` and for `evaluate`.

    Raises:
        SettingError: `compile` or `fit` is given a loss, metrics, targets or weights; there are no
            data, or several replicas; or the policy is not the cell's.
    """

    made_by = "truncations", "validation_optimizations"

    def build(self, input_shape=None):
        """Nothing is left to build."""

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, **kwargs):
        self._refuse(loss=loss, loss_weights=loss_weights, metrics=metrics)
        self._refuse(weighted_metrics=kwargs.pop("weighted_metrics", None))
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1:
            raise SettingError(
                f"{type(self).__name__}: one replica only, as a truncation carries on what the one "
                f"before it left; the tf.distribute strategy has {replicas}."
            )
        super().compile(optimizer, **kwargs)

    compile_from_config = model_file.compile_from_config

    def fit(self, x=None, y=None, *args, class_weight=None, sample_weight=None, **kwargs):
        self._refuse(y=y, class_weight=class_weight, sample_weight=sample_weight)
        self._need(x, self.made_by[0])
        return super().fit(x, None, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        self._need(x, self.made_by[1])
        return super().evaluate(x, *args, **kwargs)

    @property
    def dtype_policy(self):
        return super().dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, dtype):
        policy = same_policy(type(self).__name__, self.cell, dtype)
        keras.Model.dtype_policy.fset(self, policy)

    def _refuse(self, **given):
        for name, value in given.items():
            if value is not None:
                raise SettingError(
                    f"{type(self).__name__}: {name}={value!r} means nothing here: the loss is the "
                    "trainer's own, which its arguments decide."
                )

    def _need(self, x, maker):
        if x is None:
            raise SettingError(
                f"{type(self).__name__}: `x` is missing, it must be what {maker} gives."
            )
