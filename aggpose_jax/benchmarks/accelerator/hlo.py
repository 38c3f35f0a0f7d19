"""What the text of a compiled HLO program says about its operations: what kind each is, and which only move arrays."""

import re
from collections.abc import Sequence
from typing import NamedTuple

MATRIX, CONVOLUTION, REDUCTION, COPY = "matrix products", "convolutions", "reductions", "copies and transposes"
COLLECTIVE, ELEMENTWISE, OTHER, CONTROL = "collectives", "elementwise", "other", "control flow"
KINDS = (MATRIX, CONVOLUTION, ELEMENTWISE, REDUCTION, COPY, COLLECTIVE, OTHER)

# Kinds by the opcode of an instruction, the target of a custom call or, failing these, the name of a device's kernel.
# The order matters: what multiplies matrices and then reduces them is a matrix product.
PATTERNS = (
    (COLLECTIVE, r"all-reduce|all-gather|reduce-scatter|all-to-all|collective|nccl|rccl"),
    (MATRIX, r"\bdot|gemm|matmul|nvjet|cutlass|cublas|fmha|attention"),
    (CONVOLUTION, r"conv(?!ert)|cudnn|dgrad|wgrad"),
    (REDUCTION, r"reduc"),
    (COPY, r"copy|transpos|memcpy|memset"),
    (ELEMENTWISE, r"fusion|elementwise|loop_"),
)
MOVING = {"parameter", "constant", "copy", "transpose", "bitcast", "reshape", "tuple", "get-tuple-element"}


class Instruction(NamedTuple):
    """An instruction of an HLO program: its name, the text of the shape of its result, its opcode and its line."""

    name: str
    shape: str
    opcode: str
    line: str


def computations(text: str) -> dict[str, list[Instruction]]:
    """Returns the instructions of each computation in the text of an HLO module, by the name of the computation."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        if header := re.match(r"(?:ENTRY )?%?([\w.\-]+) .*\{$", line):
            current = found.setdefault(header[1], [])
        elif match := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\(", line):
            current.append(Instruction(match[1], match[2], match[3], line))
    return found


def executed(text: str) -> dict[str, tuple[Instruction, str]]:
    """Returns the instructions that a device executes as one operation each, with their kinds, by name.

    The instructions inside of fusions and those that combine two numbers of a reduction are left out.
    """
    bodies = computations(text)
    lines = [one.line for body in bodies.values() for one in body if one.opcode not in ("while", "call", "conditional")]
    inner = {name for line in lines for name in re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)}
    return {
        one.name: (one, _kind(one, bodies))
        for name, body in bodies.items()
        if name not in inner
        for one in body
    }  # fmt: skip


def copies(text: str) -> tuple[int, int]:
    """Returns how many operations of a program only copy or transpose an array, and the bytes of their results.

    Those in the body of a loop count once.
    """
    moved = [one for one, kind in executed(text).values() if kind == COPY and not one.opcode.endswith("-done")]
    return len(moved), sum(size(one.shape) for one in moved)


def size(shape: str) -> int:
    """Returns the bytes of the arrays in the text of a shape, such as "(f32[8,4]{1,0}, pred[])"."""
    total = 0
    for bits, sides in re.findall(r"\b(pred|[a-z]+\d+)[a-z0-9]*\[([\d,]*)\]", shape):
        count = 1
        for side in sides.split(",") if sides else ():
            count *= int(side)
        total += count * (1 if bits == "pred" else -(-int(re.sub(r"\D", "", bits)) // 8))
    return total


def kind_of_name(name: str) -> str:
    """Returns the kind of an operation by words in its opcode or in the name of its kernel."""
    return next((kind for kind, pattern in PATTERNS if re.search(pattern, name.lower())), OTHER)


def _kind(one: Instruction, bodies: dict[str, list[Instruction]]) -> str:
    if one.opcode in ("while", "call", "conditional"):
        return CONTROL
    if one.opcode == "fusion":
        called = re.search(r"calls=%?([\w.\-]+)", one.line)
        return _kind_of_fusion(bodies.get(called[1], []) if called else [])
    if one.opcode == "custom-call":
        target = re.search(r'custom_call_target="([^"]*)"', one.line)
        return kind_of_name(target[1] if target else "")
    if one.opcode == "convolution" and "window=" not in one.line:
        return MATRIX  # XLA writes matrix products for TPUs so.
    return _simple_kind(one.opcode)


def _kind_of_fusion(body: Sequence[Instruction]) -> str:
    kinds = {_kind(one, {}) for one in body}
    for kind in (MATRIX, CONVOLUTION, REDUCTION):
        if kind in kinds:
            return kind
    return COPY if COPY in kinds and all(one.opcode in MOVING for one in body) else ELEMENTWISE


def _simple_kind(opcode: str) -> str:
    kind = kind_of_name(opcode)
    return ELEMENTWISE if kind == OTHER else kind
