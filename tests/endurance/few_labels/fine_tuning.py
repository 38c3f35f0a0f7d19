"""Fine-tuning of many networks with one compiled step: learning rates and seeds are its arguments."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from aggpose_jax import networks
from aggpose_jax.data import pipeline, transforms
from aggpose_jax.data.views import Augmentation
from aggpose_jax.estimation import evaluation
from aggpose_jax.estimation.estimator import make_estimator
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.networks import barriers
from aggpose_jax.pose.metrics import torso_length
from aggpose_jax.training.optimizer import make_optimizer, make_schedule, update_ema
from aggpose_jax.training.pose_objective import PoseObjective

USED = ("image", "keypoints", "weight")  # items of a batch that the objective reads
LARGEST = 2.0  # An error in torso lengths is at most this: the size of an infant.


class Settings(NamedTuple):
    """The settings of one run: learning rate, layer decay (Bao et al. 2022), number of steps, and seed."""

    rate: float
    layer_decay: float
    steps: int
    seed: int


class State(NamedTuple):
    """The training state: variables, optimizer state and moving average of the variables."""

    variables: Any
    opt_state: Any
    ema: Any


class FineTuning:
    """Trains and evaluates a pose network of a configuration, many times in one process.

    Args:
      config: network, input size, batch size and optimizer.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self.config, self.model = config, PoseModel.from_config(config)
        self.augmentation = Augmentation(**config.augmentation.to_dict())
        self._objective = PoseObjective(self.model, config.color_jitter, config.hardest_keypoints)
        shapes = self.model.shapes()["params"]
        # The updates of AdamW are proportional to the learning rate, so a step computes them at rate 1 and scales them.
        self._optimizer = make_optimizer(config, shapes, optax.constant_schedule(1.0))
        self._depths = networks.find(config.model.name).layer_decay_depths(shapes)
        self._step = barriers.jit(self._train, donate_argnums=0)
        self._init = jax.jit(self.model.init)
        self._estimate = make_estimator(
            self.model.apply, self.model.codec, self.model.keypoint_set, False, self.model.protocol
        )

    def new_variables(self, seed: int) -> Any:
        """Returns newly initialised variables of the network."""
        return self._init(jax.random.key(seed))

    def train(
        self, variables: Any, records: Sequence[dict], settings: Settings, augmentation: Augmentation | None = None
    ) -> Any:
        """Returns the moving average of the variables after training on records.

        Args:
          variables: initial variables.
          records: labelled records; keypoints without a label do not count.
          settings: learning rate, layer decay, steps and seed.
          augmentation: that of the configuration if it is None.
        """
        variables = jax.tree.map(jnp.array, variables)
        state = State(variables, self._optimizer.init(variables["params"]), jax.tree.map(jnp.copy, variables))
        config = self.config.copy_and_resolve_references()
        config.learning_rate = settings.rate
        schedule = make_schedule(config, len(records) / config.batch_size, settings.steps)
        rates = np.asarray(jax.vmap(schedule)(jnp.arange(settings.steps)))
        factors = jax.tree.map(lambda depth: np.float32(settings.layer_decay) ** depth, self._depths)
        batches = self._batches(records, settings.seed, augmentation or self.augmentation)
        for step, batch in enumerate(itertools.islice(batches, settings.steps)):
            inputs = {name: batch[name] for name in USED}
            state = self._step(state, inputs, np.float32(rates[step]), factors, np.int32(step), np.int32(settings.seed))
        return jax.tree.map(np.asarray, state.ema)

    def evaluate(self, variables: Any, records: Sequence[dict], ground_truth: dict) -> Evaluation:
        """Returns the evaluation of a network on records and their COCO dict."""
        batches = pipeline.evaluation_batches(records, self.make_batch(None), batch_size=50, threads=1)
        return evaluation.evaluate(
            lambda batch: np.asarray(self.model.estimate(variables, batch["image"], batch["to_image"])[0]),
            batches, ground_truth, self.model.keypoint_set, None,
        )  # fmt: skip

    def estimate(self, variables: Any, records: Sequence[dict]) -> np.ndarray:
        """Returns the keypoints [N, K, 3] of records in image pixels, with the flip test of the configuration."""
        return self._over(records, lambda image, to_image: self.model.estimate(variables, image, to_image)[0])

    def estimate_both(self, variables: Any, records: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the keypoints [N, K, 3] of records in image pixels, and those of their mirror images, mapped back."""
        mirror = np.array([[-1, 0, self.model.codec.input_size[1] - 1], [0, 1, 0], [0, 0, 1]], np.float32)

        def mirrored(image: np.ndarray, to_image: np.ndarray) -> jax.Array:
            return self._estimate(variables, image[:, :, ::-1], to_image @ mirror)[0]

        plain = self._over(records, lambda image, to_image: self._estimate(variables, image, to_image)[0])
        return plain, self._over(records, mirrored)[:, self.model.keypoint_set.flip_permutation]

    def _over(self, records: Sequence[dict], estimate: Callable[..., Any]) -> np.ndarray:
        found = []
        for batch in pipeline.evaluation_batches(records, self.make_batch(None), batch_size=50, threads=1):
            found.append(np.asarray(estimate(batch["image"], batch["to_image"]))[batch["valid"] > 0])
        return np.concatenate(found)

    def _batches(self, records: Sequence[dict], seed: int, augmentation: Augmentation) -> Iterator[dict]:
        return pipeline.training_batches(
            records, self.make_batch(augmentation), batch_size=self.config.batch_size, seed=seed, threads=1
        )

    def make_batch(self, augmentation: Augmentation | None) -> Callable[..., dict]:
        """Returns the function from records, and random generators for an augmentation, to a batch of crops."""
        return functools.partial(
            transforms.make_batch, keypoint_set=self.model.keypoint_set, input_size=self.model.codec.input_size,
            augmentation=augmentation, protocol=self.model.protocol, upright=self.config.upright,
        )  # fmt: skip

    def _train(self, state: State, batch: dict, rate, factors: Any, step, seed) -> State:
        rng = jax.random.fold_in(jax.random.key(seed), step)

        def loss_of(params):
            return self._objective({**state.variables, "params": params}, batch, rng)[0]

        gradient = jax.grad(loss_of)(state.variables["params"])
        updates, opt_state = self._optimizer.update(gradient, state.opt_state, state.variables["params"])
        updates = jax.tree.map(lambda update, factor: update * rate * factor, updates, factors)
        variables = {**state.variables, "params": optax.apply_updates(state.variables["params"], updates)}
        return State(variables, opt_state, update_ema(state.ema, variables, self.config.average_decay, step))


def metrics(result: Evaluation) -> dict[str, float]:
    """Returns AP and log error: the mean over persons of the logarithm of the mean error in torso lengths."""
    matches, names = result.matches, result.keypoint_set
    torso = torso_length(matches.truth, names)
    distance = np.linalg.norm(matches.predicted[..., :2] - matches.truth[..., :2], axis=-1) / torso[:, None]
    labelled = (matches.truth[..., 2] > 0) & np.isfinite(torso)[:, None]
    distance = np.where(labelled, np.minimum(np.nan_to_num(distance, nan=LARGEST, posinf=LARGEST), LARGEST), 0)
    counted = labelled.any(1)
    means = distance.sum(1)[counted] / labelled.sum(1)[counted]
    return {"AP": result.metrics["AP"], "log_error": float(np.log(means).mean()), "persons": int(counted.sum())}
