"""A data source of rendered infants of which some are drawn instead, so that a network knows both kinds."""

from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.data.synthetic.infants import RenderedInfants
from aggpose_jax.data.synthetic.staging import Variety


class MixedInfants:
    """A data source of rendered infants, every so often replaced by the drawn infant of the same index.

    See `RenderedInfants` for the items of a record. A keypoint of a drawn infant is absent unless it is visible.
    """

    def __init__(self, count: int, drawn: int, *, split: str, seed: int, variety: Variety):
        """Creates a source of `count` infants; those of indices drawn - 1, 2 · drawn - 1, … are drawn.

        Raises:
          UserError: one of the two generators does not know the split.
        """
        self._rendered = RenderedInfants(count, split=split, seed=seed, variety=variety)
        self._drawn = SyntheticInfants(count, split=split, seed=seed)
        self._period = drawn

    def __len__(self) -> int:
        return len(self._rendered)

    def __getitem__(self, index: int) -> dict:
        if index % len(self) % self._period < self._period - 1:
            return self._rendered[index]
        record = self._drawn[index]
        return {**record, "absent": record["keypoints"][:, 2] < 2}
