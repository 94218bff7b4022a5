"""Eight or sixteen float32 numbers as one value in compiled code: explicit SIMD, on any CPU that LLVM supports.

The compiler vectorises a plain loop over a row of classes badly, since it cannot know that two rows do not overlap.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LOG2_E = 1.4426950408889634
EXP2_POLYNOMIAL = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)
"""2^x for x in -0.5..0.5, highest power first: Taylor's coefficients ln(2)^n / n!; relative error below 2e-7."""
SMALLEST_EXPONENT = -80
"""exp is at least 2^-80, so that products with weights stay normal numbers: some CPUs take 100 times longer for
subnormal ones."""
FLOAT_BIAS, FLOAT_FRACTION_BITS = 127, 23

_float, _int = ir.FloatType(), ir.IntType(32)


class _LanesType(types.Type):
    def __init__(self, width):
        super().__init__(name=f"Lanes{width}")
        self.width = width


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes_type):
        super().__init__(manager, lanes_type, ir.VectorType(_float, lanes_type.width))


def _same(value, vector_type):
    """A constant with one number in all lanes."""
    return ir.Constant(vector_type, [value] * vector_type.count)


def _broadcast(builder, number, vector_type):
    first = builder.insert_element(ir.Constant(vector_type, ir.Undefined), number, ir.Constant(_int, 0))
    return builder.shuffle_vector(first, first, _same(0, ir.VectorType(_int, vector_type.count)))


def _llvm(builder, name, result, operands, **flags):
    """Call one of LLVM's own functions, for vectors as wide as the last operand."""
    signature = ir.FunctionType(result, [operand.type for operand in operands])
    function = cgutils.get_or_insert_function(builder.module, signature, f"{name}.v{operands[-1].type.count}f32")
    return builder.call(function, operands, **flags)


def _address(context, builder, array_type, array, start, vector_type):
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [start]), vector_type.as_pointer())


@intrinsic(prefer_literal=True)
def load(context, array, start, width):
    """Read `width` elements, a constant, of a contiguous float32 array, seen flat, from index `start` on."""
    lanes = _LanesType(width.literal_value)

    def generate(context, builder, signature, arguments):
        array, start, _ = arguments
        vector_type = context.get_value_type(signature.return_type)
        return builder.load(_address(context, builder, signature.args[0], array, start, vector_type), align=4)

    return lanes(array, types.intp, width), generate


@intrinsic
def store(context, array, start, value):
    """Write a value's lanes to a contiguous float32 array, seen flat, from index `start` on."""

    def generate(context, builder, signature, arguments):
        array, start, value = arguments
        builder.store(value, _address(context, builder, signature.args[0], array, start, value.type), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def add(context, first, second):
    """The sum of two values, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments)

    return first(first, first), generate


@intrinsic
def multiply_add(context, factor, value, addend):
    """factor * value + addend, rounded once; factor: one number for all lanes"""

    def generate(context, builder, signature, arguments):
        factor, value, addend = arguments
        operands = [_broadcast(builder, factor, value.type), value, addend]
        return _llvm(builder, "llvm.fma", value.type, operands)

    return value(types.float32, value, value), generate


@intrinsic
def multiply(context, factor, value):
    """factor * value; factor: one number for all lanes"""

    def generate(context, builder, signature, arguments):
        factor, value = arguments
        return builder.fmul(_broadcast(builder, factor, value.type), value)

    return value(types.float32, value), generate


@intrinsic
def maximum(context, first, second):
    """The larger of two values, lane by lane."""

    def generate(context, builder, signature, arguments):
        return _llvm(builder, "llvm.maxnum", arguments[0].type, arguments, fastmath=("nnan",))

    return first(first, first), generate


@intrinsic
def largest(context, value):
    """The largest of a value's numbers."""

    def generate(context, builder, signature, arguments):
        return _llvm(builder, "llvm.vector.reduce.fmax", _float, arguments, fastmath=("nnan",))

    return types.float32(value), generate


@intrinsic
def total(context, value):
    """The sum of a value's numbers, added in any order."""

    def generate(context, builder, signature, arguments):
        operands = [ir.Constant(_float, 0.0), *arguments]
        return _llvm(builder, "llvm.vector.reduce.fadd", _float, operands, fastmath=("reassoc",))

    return types.float32(value), generate


@intrinsic
def exp_difference(context, value, top):
    """exp(value - top), for values of at most top; never below 1e-24"""

    def generate(context, builder, signature, arguments):
        value, top = arguments
        floats, ints = value.type, ir.VectorType(_int, value.type.count)
        power = builder.fmul(builder.fsub(value, _broadcast(builder, top, floats)), _same(LOG2_E, floats))
        least = _same(float(SMALLEST_EXPONENT), floats)
        power = _llvm(builder, "llvm.maxnum", floats, [power, least], fastmath=("nnan",))
        whole = _llvm(builder, "llvm.rint", floats, [power])
        rest = builder.fsub(power, whole)
        fraction = _same(EXP2_POLYNOMIAL[0], floats)
        for coefficient in EXP2_POLYNOMIAL[1:]:
            fraction = _llvm(builder, "llvm.fma", floats, [fraction, rest, _same(coefficient, floats)])
        exponent = builder.add(builder.fptosi(whole, ints), _same(FLOAT_BIAS, ints))
        bits = builder.shl(exponent, _same(FLOAT_FRACTION_BITS, ints))
        return builder.fmul(fraction, builder.bitcast(bits, floats))

    return value(value, types.float32), generate
