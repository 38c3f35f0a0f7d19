"""Things around, on and under an infant: hands of adults, toys, pillows, nests, rails, cables, blankets."""

import functools

import numpy as np

from aggpose_jax.data.synthetic.clothes import Fabric
from aggpose_jax.data.synthetic.lighting import HeightMap, height_map, read_map
from aggpose_jax.data.synthetic.mesh import load_mesh, make_shape, normals
from aggpose_jax.data.synthetic.objects import Solid, cloth, drape, ellipsoid, tube
from aggpose_jax.data.synthetic.skeleton import ANGLES, angle_slice, bone_positions, bone_rotations, rotation, skin

GRID = 44  # grid points of a side of a cloth


def _direction(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def toy(rng: np.random.Generator, centre: np.ndarray) -> list[Solid]:
    """Returns a soft toy, a ball, a brick or a rattle that lies at a place of the bed [2]."""
    kind = rng.integers(4)
    size = rng.uniform(0.02, 0.06)
    colours = rng.uniform(30, 250, (3, 3))
    place = np.array([*centre, size])
    frame = size * rotation(np.array([0, 0, 1.0]), rng.uniform(0, 6.3))
    if kind == 0:
        parts = [ellipsoid(place, frame, colours[0])]
        parts += [ellipsoid(place + 1.2 * frame[1], 0.7 * frame, colours[0])]
        parts += [
            ellipsoid(place + 1.7 * frame[1] + side * 0.5 * frame[0], 0.3 * frame, colours[1]) for side in (-1, 1)
        ]
        return parts + [ellipsoid(place + 0.9 * side * frame[0], 0.45 * frame, colours[0]) for side in (-1, 1)]
    if kind == 1:
        return [ellipsoid(place, frame, colours[0])]
    if kind == 2:
        stretched = frame * np.array([[rng.uniform(0.7, 2)], [rng.uniform(0.5, 1)], [1.0]])
        return [ellipsoid(place, stretched, colours[0], power=0.25, rows=12, columns=24)]
    path = place + np.linspace(-1, 1, 5)[:, None] * 1.5 * frame[0]
    return [tube(path, np.full(5, 0.25 * size), colours[0]), ellipsoid(path[-1], 0.8 * frame, colours[1])]


def pillow(rng: np.random.Generator, centre: np.ndarray, fabric: Fabric) -> Solid:
    """Returns a pillow or a folded towel at a place of the bed [2], of the mean colour of a fabric."""
    frame = rotation(np.array([0, 0, 1.0]), rng.uniform(0, 6.3)) * np.array(
        [[rng.uniform(0.06, 0.2)], [rng.uniform(0.05, 0.13)], [rng.uniform(0.015, 0.05)]]
    )
    colour = fabric.tile.reshape(-1, 3).mean(axis=0)
    return ellipsoid(np.array([*centre, 0.01]), frame, colour, power=0.45, rows=10, columns=22)


def nest(rng: np.random.Generator, centre: np.ndarray, reach: float, colour: np.ndarray) -> Solid:
    """Returns a roll of cloth around an infant, or a part of it."""
    start, length = rng.uniform(0, 6.3), rng.uniform(2.5, 6.0)
    angle = np.linspace(start, start + length, 26)
    radius = reach * rng.uniform(1.0, 1.25)
    path = np.stack(
        [centre[0] + 0.75 * radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(26, 0.03)], 1
    )
    return tube(path, np.full(26, rng.uniform(0.025, 0.05)) * rng.uniform(0.92, 1.08, 26), colour)


def cable(rng: np.random.Generator, start: np.ndarray, away: float) -> Solid:
    """Returns a cable or tube from a point [3] of the body across the bed to the outside."""
    steps = np.linspace(0, 1, 22)
    direction, across = _direction(away), _direction(away + np.pi / 2)
    length = rng.uniform(0.5, 1.0)
    curve = rng.normal(0, 0.1) * np.sin(rng.uniform(2, 7) * steps + 0.0) + rng.normal(0, 0.03) * np.sin(9 * steps)
    path = start + length * steps[:, None] * direction + curve[:, None] * across
    path[:, 2] = start[2] * np.exp(-6 * steps) + 0.004
    colour = [np.array([235.0] * 3), np.array([40.0] * 3), rng.uniform(40, 240, 3)][rng.integers(3)]
    return tube(path, np.full(22, rng.uniform(0.0012, 0.003)), colour, sides=5)


def rails(rng: np.random.Generator, bed: np.ndarray) -> list[Solid]:
    """Returns the bars along one or two sides of a bed (see `Surroundings.bed`)."""
    x, y, half_width, half_length, angle = bed
    turn = rotation(np.array([0, 0, 1.0]), angle)
    colour = np.array([1.0, 0.97, 0.9]) * rng.uniform(90, 245) * rng.uniform(0.7, 1, 3)
    height, gap, radius = rng.uniform(0.15, 0.45), rng.uniform(0.05, 0.09), rng.uniform(0.006, 0.014)
    bars = []
    post = tube(np.outer((0, 0.5, 1), (0, 0, height)), np.full(3, radius), colour, sides=5)
    for side in rng.choice((-1.0, 1.0), rng.integers(1, 3), replace=False):
        places = np.arange(-half_length, half_length, gap)[:22]
        feet = np.stack([np.full(len(places), side * half_width), places, np.full(len(places), -0.05)], axis=1)
        bars.append(_copies(post, feet @ turn.T + [x, y, 0]))
        top = np.array([[side * half_width, v, height - 0.05] for v in np.linspace(-half_length, half_length, 4)])
        bars.append(tube(top @ turn.T + [x, y, 0], np.full(4, 1.8 * radius), colour, sides=6))
    return bars


def _copies(solid: Solid, places: np.ndarray) -> Solid:
    """Returns one object made of copies of a solid, moved by each of the places [N, 3]."""
    count, size = len(places), len(solid.vertices)
    return Solid(
        (places[:, None] + solid.vertices).reshape(-1, 3),
        np.tile(solid.normals, (count, 1)),
        (size * np.arange(count)[:, None, None] + solid.triangles).reshape(-1, 3),
        np.tile(solid.colours, (count, 1)),
        solid.kind,
    )


@functools.cache
def _adult_arm() -> tuple[np.ndarray, np.ndarray]:
    """Returns the vertices [V] and triangles [F, 3] of the left forearm and hand in the mesh."""
    mesh = load_mesh()
    bones = [mesh.bone(f"left_{name}") for name in ("forearm", "hand", "thumb", "fingers", "fingertips")]
    belongs = mesh.weights[: len(mesh.is_eye), bones].sum(axis=1) > 0.5
    triangles = mesh.triangles[belongs[mesh.triangles].all(axis=1)]
    used = np.unique(triangles)
    return used, np.searchsorted(used, triangles)


def adult_hand(
    rng: np.random.Generator, target: np.ndarray, away: float, colour: np.ndarray, sleeve: np.ndarray
) -> Solid:
    """Returns an adult's hand at a point [3], whose forearm comes from a direction, an angle in radians on the bed."""
    shape = make_shape({"adult": 1.0}, {})
    angles = np.zeros(len(ANGLES))
    curl = rng.uniform(0.1, 0.8)
    angles[angle_slice("left", "arm")] = [np.pi / 2, 0, 0, 0, rng.uniform(-1.2, 1.2), rng.uniform(-0.2, 0.6), curl]
    rotations = bone_rotations(shape, angles)
    vertices, points = skin(shape, rotations, bone_positions(shape, rotations))
    around = normals(vertices)
    used, triangles = _adult_arm()
    mesh = load_mesh()
    wrist, tip = (points[mesh.points.index(name)] for name in ("left_wrist", "left_middle_finger"))
    lift = rng.uniform(0.05, 0.9)  # The arm lies along x; lower its hand and turn it towards the target.
    turn = rotation(np.array([0, 0, 1.0]), away + np.pi) @ rotation(np.array([0, 1.0, 0]), lift)
    turn = turn @ rotation(np.array([1.0, 0, 0]), rng.uniform(-0.6, 2.2))
    placed = (vertices[used] - 0.35 * wrist - 0.65 * tip) @ turn.T + target
    placed[:, 2] = np.maximum(placed[:, 2], 0.002)
    along = (vertices[used] - wrist) @ np.array([1.0, 0, 0])
    colours = np.where(along[:, None] < -rng.uniform(0.02, 0.25), sleeve, colour)
    return Solid(placed, around[used] @ turn.T, triangles, colours.astype(float))


def _heights_below(top: HeightMap, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    grid_x, grid_y = np.meshgrid(x, y)
    positions = np.stack([grid_x, grid_y, np.zeros_like(grid_x)], axis=-1).reshape(-1, 3)
    places, _ = top.places(positions)
    return read_map(np.maximum(top.heights, 0), places, 0.0).reshape(grid_x.shape)


def _cloth_over(vertices, triangles, centre, reach, keep, fabric: Fabric, rng, kind, stiffness, folds) -> Solid:
    """Returns a cloth over a body. `keep` maps the grid's x [C] and y [R, 1] to the part that the cloth covers."""
    top = height_map(vertices, triangles, False, np.array([0, 0, 1.0]))
    x, y = centre[0] + reach * np.linspace(-1, 1, GRID), centre[1] + reach * np.linspace(1, -1, GRID)
    below = _heights_below(top, x, y)
    covered = keep(x[None, :], y[:, None])
    heights = drape(below * covered, stiffness, rng, folds)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    colours = fabric.colours(grid, 2 * reach / GRID).reshape(GRID, GRID, 3)
    return cloth(heights, x, y, covered, colours, kind)


def blanket(rng: np.random.Generator, vertices: np.ndarray, triangles: np.ndarray, fabric: Fabric) -> Solid:
    """Returns a blanket over a part of an infant [V, 3], seldom over more than half of it."""
    centre = vertices[:, :2].mean(axis=0)
    angle = -np.pi / 2 + rng.normal(0, 0.5) if rng.random() < 0.85 else rng.uniform(0, 6.3)
    direction = _direction(angle)[:2]
    along = (vertices[:, :2] - centre) @ direction
    edge = np.quantile(along, rng.uniform(0.45, 0.92))
    waves = rng.uniform(4, 14), rng.uniform(0, 6.3), rng.uniform(0, 0.02)

    def keep(x, y):
        place = (x - centre[0]) * direction[0] + (y - centre[1]) * direction[1]
        across = (x - centre[0]) * -direction[1] + (y - centre[1]) * direction[0]
        return place > edge + waves[2] * np.sin(waves[0] * across + waves[1])

    return _cloth_over(vertices, triangles, centre, rng.uniform(0.32, 0.5), keep, fabric, rng, "object", 7, 0.006)


def skirt(
    rng: np.random.Generator, vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray, fabric: Fabric
) -> Solid:
    """Returns the skirt of a gown over the legs, from the navel to between knees and ankles."""
    mesh = load_mesh()
    navel, hips, knees, ankles = (
        points[[mesh.points.index(name) for name in names]].mean(axis=0)[:2]
        for names in (("navel",), ("left_hip", "right_hip"), ("left_knee", "right_knee"), ("left_ankle", "right_ankle"))
    )
    down = 0.5 * (knees + ankles) - navel
    down /= max(np.linalg.norm(down), 1e-6)
    end = max(((knees - navel) @ down) + rng.uniform(-0.3, 0.9) * ((ankles - knees) @ down), 0.1)
    widths = rng.uniform(0.05, 0.065), rng.uniform(0.08, 0.16)
    start = 0.3 * ((hips - navel) @ down)

    def keep(x, y):
        along = (x - navel[0]) * down[0] + (y - navel[1]) * down[1]
        across = np.abs((x - navel[0]) * -down[1] + (y - navel[1]) * down[0])
        share = np.clip((along - start) / max(end - start, 1e-3), 0, 1)
        return (along > start) & (along < end) & (across < widths[0] + share * (widths[1] - widths[0]))

    return _cloth_over(vertices, triangles, navel + 0.5 * end * down, 0.26, keep, fabric, rng, "clothes", 5, 0.004)
