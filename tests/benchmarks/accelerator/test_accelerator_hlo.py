"""Kinds of operations and copies in a program that is written by hand."""

import pytest

from aggpose_jax.benchmarks.accelerator import hlo

TEXT = """HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.0 = f32[] add(%a, %b)
}

%fused_gelu (p: bf16[8,4]) -> bf16[8,4] {
  %p = bf16[8,4]{1,0} parameter(0)
  ROOT %multiply.1 = bf16[8,4]{1,0} multiply(%p, %p)
}

%fused_norm (p.1: f32[8,4]) -> f32[8] {
  %p.1 = f32[8,4]{1,0} parameter(0)
  %zero = f32[] constant(0)
  ROOT %reduce.1 = f32[8]{0} reduce(%p.1, %zero), dimensions={1}, to_apply=%sum
}

%fused_transpose (p.2: bf16[8,4]) -> bf16[4,8] {
  %p.2 = bf16[8,4]{1,0} parameter(0)
  ROOT %transpose.9 = bf16[4,8]{1,0} transpose(%p.2), dimensions={1,0}
}

%body (t: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {
  %t = (s32[], bf16[8,4]{1,0}) parameter(0)
  %copy.5 = bf16[8,4]{0,1} copy(%t)
  %dot.3 = bf16[8,4]{1,0} dot(%copy.5, %t), lhs_contracting_dims={1}
  ROOT %tuple.2 = (s32[], bf16[8,4]{1,0}) tuple(%t, %dot.3)
}

ENTRY %main (x: bf16[8,4]) -> bf16[8,4] {
  %x = bf16[8,4]{1,0} parameter(0)
  %gelu_fusion = bf16[8,4]{1,0} fusion(%x), kind=kLoop, calls=%fused_gelu
  %norm_fusion = f32[8]{0} fusion(%x), kind=kInput, calls=%fused_norm
  %transpose_fusion.2 = bf16[4,8]{1,0} fusion(%x), kind=kLoop, calls=%fused_transpose
  %copy-start.1 = (f32[3,5]{1,0}, f32[3,5]{1,0}, u32[]) copy-start(%x)
  %copy-done.1 = f32[3,5]{1,0} copy-done(%copy-start.1)
  %cublas.1 = (bf16[8,4]{1,0}, s8[1024]{0}) custom-call(%x, %x), custom_call_target="__cublas$gemm"
  %cudnn.1 = (bf16[8,4]{1,0}, u8[0]{0}) custom-call(%x), custom_call_target="__cudnn$convForward"
  %kernel.1 = f32[8]{0} custom-call(%x), custom_call_target="__gpu$xla.gpu.triton"
  %product.1 = bf16[8,4]{1,0} convolution(%x, %x), dim_labels=bf_io->bf
  %convolution.1 = bf16[8,4]{1,0} convolution(%x, %x), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f
  %convert.1 = f32[8,4]{1,0} convert(%x)
  %all-reduce.1 = f32[] all-reduce(%zero), to_apply=%sum
  %while.1 = (s32[], bf16[8,4]{1,0}) while(%x), condition=%condition, body=%body
  ROOT %result = bf16[8,4]{1,0} get-tuple-element(%while.1), index=1
}
"""
EXPECTED = {
    "gelu_fusion": "elementwise",
    "norm_fusion": "reductions",
    "transpose_fusion.2": "copies and transposes",
    "copy-start.1": "copies and transposes",
    "copy.5": "copies and transposes",
    "dot.3": "matrix products",
    "cublas.1": "matrix products",
    "product.1": "matrix products",
    "cudnn.1": "convolutions",
    "convolution.1": "convolutions",
    "kernel.1": "other",
    "convert.1": "elementwise",
    "all-reduce.1": "collectives",
    "while.1": "control flow",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_kind_of_an_operation(name):
    assert hlo.executed(TEXT)[name][1] == EXPECTED[name]


def test_operations_inside_of_fusions_and_reductions_are_not_executed_by_themselves():
    assert not hlo.executed(TEXT).keys() & {"multiply.1", "reduce.1", "transpose.9", "add.0"}


def test_copies_are_counted_with_the_bytes_of_their_results():
    # transpose_fusion.2 and copy.5 have 8 · 4 values of 2 bytes; copy-start.1 two arrays of 3 · 5 and a number.
    assert hlo.copies(TEXT) == (3, 64 + 64 + (60 + 60 + 4))


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ("pred[3]", 3),
        ("f32[]", 4),
        ("(bf16[2,3]{1,0:T(8,128)(2,1)}, s64[2])", 12 + 16),
        ("f8e4m3fn[7]", 7),
        ("token[]", 0),
    ],
)
def test_bytes_of_shapes(shape, count):
    assert hlo.size(shape) == count
