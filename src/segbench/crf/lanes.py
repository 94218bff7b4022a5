"""Eight float32 numbers as one value in numba's compiled code: explicit SIMD, on any CPU that LLVM supports.

The compiler vectorises a plain loop over a row of classes badly, since it cannot know that two rows do not overlap.
numba keeps compiled functions on disk and does not notice a change in a file that they import: after an edit here,
remove `__pycache__`.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

WIDTH = 8
LOG2_E = 1.4426950408889634
EXP2_POLYNOMIAL = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)
"""2^x for x in -0.5..0.5, highest power first: Taylor's coefficients ln(2)^n / n!; relative error below 2e-7."""
SMALLEST_EXPONENT = -125
FLOAT_BIAS, FLOAT_FRACTION_BITS = 127, 23

_float, _int = ir.FloatType(), ir.IntType(32)
_floats, _ints = ir.VectorType(_float, WIDTH), ir.VectorType(_int, WIDTH)


class _LanesType(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes_type):
        super().__init__(manager, lanes_type, _floats)


_lanes = _LanesType()


def _same(value):
    """A constant with one number in all lanes."""
    return ir.Constant(_floats, [value] * WIDTH)


def _broadcast(builder, number):
    first = builder.insert_element(ir.Constant(_floats, ir.Undefined), number, ir.Constant(_int, 0))
    return builder.shuffle_vector(first, first, ir.Constant(_ints, [0] * WIDTH))


def _llvm(builder, name, result, operands, **flags):
    """Call one of LLVM's own functions."""
    signature = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), operands, **flags)


def _address(context, builder, array_type, array, start):
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [start]), _floats.as_pointer())


@intrinsic
def zeros(context):
    """Zero in all lanes."""

    def generate(context, builder, signature, arguments):
        return _same(0.0)

    return _lanes(), generate


@intrinsic
def load(context, array, start):
    """Read eight elements of a contiguous float32 array, seen flat, from index `start` on."""

    def generate(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature.args[0], *arguments), align=4)

    return _lanes(array, types.intp), generate


@intrinsic
def store(context, array, start, value):
    """Write eight elements to a contiguous float32 array, seen flat, from index `start` on."""

    def generate(context, builder, signature, arguments):
        array, start, value = arguments
        builder.store(value, _address(context, builder, signature.args[0], array, start), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate


@intrinsic
def add(context, first, second):
    """The sum of two values, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def multiply_add(context, factor, value, addend):
    """factor * value + addend, rounded once; factor: one number for all lanes"""

    def generate(context, builder, signature, arguments):
        factor, value, addend = arguments
        return _llvm(builder, f"llvm.fma.v{WIDTH}f32", _floats, [_broadcast(builder, factor), value, addend])

    return _lanes(types.float32, _lanes, _lanes), generate


@intrinsic
def largest(context, value):
    """The largest of the eight numbers."""

    def generate(context, builder, signature, arguments):
        return _llvm(builder, f"llvm.vector.reduce.fmax.v{WIDTH}f32", _float, arguments)

    return types.float32(_lanes), generate


@intrinsic
def total(context, value):
    """The sum of the eight numbers, added in any order."""

    def generate(context, builder, signature, arguments):
        operands = [ir.Constant(_float, 0.0), *arguments]
        return _llvm(builder, f"llvm.vector.reduce.fadd.v{WIDTH}f32", _float, operands, fastmath=("reassoc",))

    return types.float32(_lanes), generate


@intrinsic
def exp_difference(context, value, top):
    """exp(value - top), for values of at most top; never below 1e-38"""

    def generate(context, builder, signature, arguments):
        value, top = arguments
        power = builder.fmul(builder.fsub(value, _broadcast(builder, top)), _same(LOG2_E))
        power = _llvm(builder, f"llvm.maxnum.v{WIDTH}f32", _floats, [power, _same(float(SMALLEST_EXPONENT))])
        whole = _llvm(builder, f"llvm.rint.v{WIDTH}f32", _floats, [power])
        rest = builder.fsub(power, whole)
        fraction = _same(EXP2_POLYNOMIAL[0])
        for coefficient in EXP2_POLYNOMIAL[1:]:
            fraction = _llvm(builder, f"llvm.fma.v{WIDTH}f32", _floats, [fraction, rest, _same(coefficient)])
        exponent = builder.add(builder.fptosi(whole, _ints), ir.Constant(_ints, [FLOAT_BIAS] * WIDTH))
        bits = builder.shl(exponent, ir.Constant(_ints, [FLOAT_FRACTION_BITS] * WIDTH))
        return builder.fmul(fraction, builder.bitcast(bits, _floats))

    return _lanes(_lanes, types.float32), generate
