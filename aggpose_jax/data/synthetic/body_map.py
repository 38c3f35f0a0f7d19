"""Where things are on the surface of the body: how far along which limb, on which side, for clothes and skin.

The map is computed once, on the mean body in its rest pose.
"""

import dataclasses
import functools
import itertools

import numpy as np

from aggpose_jax.data.synthetic.mesh import Mesh, Shape, load_mesh, make_shape, normals
from aggpose_jax.data.synthetic.skeleton import SIDES


@dataclasses.dataclass(frozen=True)
class BodyMap:
    """Coordinates [V] of the vertices on the surface of the body.

    Attributes:
      arm, leg: position along the nearer arm or leg: 0 at shoulder or hip, 1 at elbow or knee, 2 at wrist or ankle, 3
        at the tips; negative on the trunk, -1 elsewhere.
      trunk: height on the trunk: 0 at the crotch, 1 at the shoulders; below 0 on the legs, above 1 on neck and head.
      skull: height on the head along the line from the chin to the back of the crown: 0 at the chin, 1 at the crown; -1
        on the rest of the body.
      face: cosine of the angle to the front on the head; -1 elsewhere.
      front: z component of the normal: 1 in front, -1 at the back.
      across: distance to the left from the middle of the body in metres.
      cloth: [V, 2] position in metres on a flat pattern that is laid around the body.
      looking: distance from the front of the eyeball in units of its radius; 9 outside the eyes.
      rest: [V, 3] position in the rest pose in metres.
    """

    arm: np.ndarray
    leg: np.ndarray
    trunk: np.ndarray
    skull: np.ndarray
    face: np.ndarray
    front: np.ndarray
    across: np.ndarray
    cloth: np.ndarray
    looking: np.ndarray
    rest: np.ndarray

    def stack(self) -> np.ndarray:
        """Returns all coordinates as one array [V, C], for interpolation; see `unstack`."""
        parts = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1).astype(np.float32)

    @staticmethod
    def unstack(values: np.ndarray) -> "BodyMap":
        """Returns the map whose `stack` is the [N, C] values."""
        arm, leg, trunk, skull, face, front, across = values[:, :7].T
        cloth, looking, rest = values[:, 7:9], values[:, 9], values[:, 10:]
        return BodyMap(arm, leg, trunk, skull, face, front, across, cloth, looking, rest)


@functools.cache
def body_map() -> BodyMap:
    """Returns the coordinates of the vertices of the mesh."""
    mesh = load_mesh()
    shape = make_shape({name: 1 / 6 for name in mesh.targets if name != "adult"}, {})
    v, n = shape.vertices, normals(shape.vertices)
    weights = mesh.weights[: len(v)]
    arm = np.max([_along(mesh, shape, side, "arm", weights) for side in SIDES], axis=0)
    leg = np.max([_along(mesh, shape, side, "leg", weights) for side in SIDES], axis=0)
    crotch, shoulder = shape.joints[mesh.bone("left_thigh"), 1] - 0.02, shape.joints[mesh.bone("left_upper_arm"), 1]
    chin = shape.points[mesh.points.index("chin")]
    is_head = weights[:, mesh.bone("head")] > 0.5
    up = np.array([0, 0.93, -0.37])
    height = (v - chin) @ up
    skull = np.where(is_head, height / height.max(), -1)
    looking = np.full(len(v), 9.0)
    for side in (v[:, 0] < 0, v[:, 0] > 0):
        eye = mesh.is_eye & side
        centre = v[eye].mean(axis=0)
        offset = v[eye] - centre
        radius = np.linalg.norm(offset, axis=1).mean()
        looking[eye] = np.linalg.norm(offset[:, :2], axis=1) / radius + 2 * (offset[:, 2] < 0)
    return BodyMap(
        arm=arm,
        leg=leg,
        trunk=(v[:, 1] - crotch) / (shoulder - crotch),
        skull=skull,
        face=np.where(is_head, n[:, 2], -1),
        front=n[:, 2],
        across=v[:, 0],
        cloth=np.stack([v[:, 0] + 0.8 * np.where(n[:, 2] < 0, -v[:, 2], v[:, 2]), v[:, 1] + 0.2 * v[:, 2]], axis=1),
        looking=looking,
        rest=v,
    )


def _along(mesh: Mesh, shape: Shape, side: str, limb: str, weights: np.ndarray) -> np.ndarray:
    """Returns the position [V] along one limb (see `BodyMap.arm`), -1 on the rest of the body."""
    arm, leg = ("upper_arm", "forearm", "hand", "thumb", "fingers", "fingertips"), ("thigh", "shin", "foot", "toes")
    names: tuple[str, ...] = arm if limb == "arm" else leg
    bones = [mesh.bone(f"{side}_{name}") for name in names]
    tip = shape.points[mesh.points.index(f"{side}_middle_finger" if limb == "arm" else f"{side}_toe")]
    chain = [*shape.joints[bones[:3]], tip]
    v, along = shape.vertices, np.full(len(shape.vertices), -1.0)
    on_side = SIDES[side] * v[:, 0] > -0.005
    positions = []
    for start, end in itertools.pairwise(chain):
        axis = end - start
        positions.append((v - start) @ axis / (axis @ axis))
    own = weights[:, bones]
    segment = np.stack([own[:, 0], own[:, 1], own[:, 2:].sum(axis=1)]).argmax(axis=0)
    place = segment + np.clip(np.take_along_axis(np.stack(positions), segment[None], 0)[0], -0.6, 1.05)
    belongs = (own.sum(axis=1) > 0.02) & on_side
    along[belongs] = place[belongs]
    return along
