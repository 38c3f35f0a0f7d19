"""The mesh of an infant: its shape, its bones and the places of the keypoints on it.

The mesh was derived from MakeHuman (CC0) by third_party/makehuman/derive_infant_mesh.py. Axes: x to the infant's left,
y towards the head, z to the front, in metres.
"""

import dataclasses
import functools
import hashlib
import io
import pathlib

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21

FILE = pathlib.Path(__file__).with_name("infant_mesh.npz")
SHA256 = "54bad477ead87ef3d0ac377dfab9ab6c765757c2d41b43ac7559e6068fd21483"


@dataclasses.dataclass(frozen=True)
class Mesh:
    """The parts of the mesh that all infants share.

    V vertices, F triangles, J bones, P points (the keypoints of `INFANT_21` in their order, then the knuckles of the
    index and little fingers).

    Attributes:
      base: [V + J + P, 3] vertices, centres of joints and points without any shape target.
      targets: name of a shape target to its offsets [V + J + P, 3].
      triangles: [F, 3] vertices of each triangle, counter-clockwise when seen from outside.
      weights: [V + P, J] skinning weights of vertices and points; each row sums to 1.
      bones: names of the bones, each after its parent.
      parents: [J] parent of each bone, -1 for the pelvis.
      points: names of the P points.
      is_eye: [V] bool: whether a vertex belongs to an eyeball.
      corners, first_corners: [3 F] triangles in the order of their vertices, and [V] where those of a vertex begin.
    """

    base: np.ndarray
    targets: dict[str, np.ndarray]
    triangles: np.ndarray
    weights: np.ndarray
    bones: tuple[str, ...]
    parents: np.ndarray
    points: tuple[str, ...]
    is_eye: np.ndarray
    corners: np.ndarray
    first_corners: np.ndarray

    def bone(self, name: str) -> int:
        """Returns the index of a bone."""
        return self.bones.index(name)


@dataclasses.dataclass(frozen=True)
class Shape:
    """The body of one infant in its rest pose, standing with the arms held off the trunk.

    Attributes:
      vertices: [V, 3].
      joints: [J, 3] the point about which each bone turns.
      points: [P, 3] the points of `Mesh.points`.
      sizes: [J] factor by which the part of the body at each bone is enlarged when the infant is posed.
    """

    vertices: np.ndarray
    joints: np.ndarray
    points: np.ndarray
    sizes: np.ndarray

    @functools.cached_property
    def arm_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """[2, 3, 3] frames of the upper arms and of the forearms, right and left, see `skeleton.limb_frames`."""
        return self._limb_frames(("upper_arm", "forearm", "hand"), np.array([0, 0, 1.0]))

    @functools.cached_property
    def leg_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """[2, 3, 3] frames of the thighs and of the shins, right and left, see `skeleton.limb_frames`."""
        return self._limb_frames(("thigh", "shin", "foot"), np.array([0, 0, -1.0]))

    def _limb_frames(self, names: tuple[str, ...], bending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bones = [[load_mesh().bone(f"{side}_{name}") for side in ("right", "left")] for name in names]
        start, middle, end = self.joints[bones].astype(float)
        upper = _frame(middle - start, bending)
        along = end - middle
        return upper, _frame(along, np.cross(upper[..., 2], along))

    @functools.cached_property
    def knuckles(self) -> np.ndarray:
        """[2, 3] unit axes about which the fingers of the right and the left hand bend towards the palm."""
        index, little = (
            self.points[[load_mesh().points.index(f"{side}_{name}") for side in ("right", "left")]]
            for name in ("index", "little")
        )
        return _unit(np.array([[-1.0], [1.0]]) * (little - index))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the [..., 3, 3] matrix with orthonormal columns: along `first`, towards `second`, and across both."""
    first = _unit(first)
    second = _unit(second - (second * first).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


@functools.cache
def load_mesh(file: pathlib.Path = FILE) -> Mesh:
    """Reads the mesh.

    Raises:
      UserError: the file is missing or damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}). Reinstall aggpose_jax.") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise UserError(f"{file}: is damaged, its SHA-256 is not {SHA256}. Reinstall aggpose_jax.")
    arrays = np.load(io.BytesIO(data))
    offsets = arrays["targets"].astype(np.float32) * arrays["target_step"]
    triangles = arrays["triangles"].astype(np.int32)
    weights = np.concatenate([arrays["weights"], arrays["point_weights"]]).astype(np.float32)
    points = tuple(arrays["point_names"].tolist())
    order = np.array([points.index(name) for name in (*INFANT_21.names, *sorted(set(points) - set(INFANT_21.names)))])
    rows = np.concatenate([np.arange(len(arrays["base"]) - len(points)), len(arrays["base"]) - len(points) + order])
    in_order = np.concatenate([np.arange(len(weights) - len(points)), len(weights) - len(points) + order])
    return Mesh(
        base=arrays["base"][rows],
        targets=dict(zip(arrays["target_names"].tolist(), offsets[:, rows], strict=True)),
        triangles=triangles,
        weights=weights[in_order] / weights[in_order].sum(axis=1, keepdims=True),
        bones=tuple(arrays["bone_names"].tolist()),
        parents=arrays["parents"].astype(int),
        points=tuple(points[i] for i in order),
        is_eye=arrays["is_eye"],
        corners=np.argsort(triangles.ravel(), kind="stable") // 3,
        first_corners=np.searchsorted(np.sort(triangles.ravel()), np.arange(len(arrays["weights"]))),
    )


def make_shape(targets: dict[str, float], sizes: dict[str, float]) -> Shape:
    """Returns the body with the given strength of each shape target and the size of parts of the body.

    `sizes` maps names of bones, without "left_" and "right_", to factors; other bones have size 1.
    """
    mesh = load_mesh()
    shaped = mesh.base + sum(strength * mesh.targets[name] for name, strength in targets.items())
    count, joints = len(mesh.is_eye), len(mesh.bones)
    factors = [sizes.get(bone.removeprefix("left_").removeprefix("right_"), 1.0) for bone in mesh.bones]
    return Shape(
        shaped[:count], shaped[count : count + joints], shaped[count + joints :], np.array(factors, np.float32)
    )


def normals(vertices: np.ndarray) -> np.ndarray:
    """Returns the unit normals [V, 3] of the vertices [V, 3] of a posed mesh, which point outwards."""
    mesh = load_mesh()
    a, b, c = (vertices[mesh.triangles[:, i]] for i in range(3))
    (x, y, z), (u, v, w) = (b - a).T, (c - a).T
    areas = np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
    summed = np.add.reduceat(areas[mesh.corners], mesh.first_corners, axis=0)
    return summed / np.sqrt(np.maximum((summed * summed).sum(axis=1, keepdims=True), 1e-24))
