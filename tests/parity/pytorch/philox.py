"""The project's random streams (runtime/core/philox.hpp) and initial values (layers/init.hpp) in numpy.

Written from the headers alone, so that the golden values depend on no code of the runtime.
"""

import numpy
import xxhash

LOW = numpy.uint64(0xFFFFFFFF)
HALF = numpy.uint64(32)


def philox4x32(counter, key):
    """Ten rounds over arrays of four 32-bit words, held in 64 bits so that products fit."""
    c = [numpy.asarray(word, dtype=numpy.uint64) for word in counter]
    k0, k1 = key
    for _ in range(10):
        p0 = numpy.uint64(0xD2511F53) * c[0]
        p1 = numpy.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> HALF) ^ c[1] ^ numpy.uint64(k0), p1 & LOW, (p0 >> HALF) ^ c[3] ^ numpy.uint64(k1), p0 & LOW]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return numpy.stack(c, axis=-1)


class RandomStream:
    def __init__(self, seed, purpose, instance=0):
        self.key = (seed & 0xFFFFFFFF, seed >> 32)
        self.stream = xxhash.xxh3_64_intdigest(purpose.encode(), instance)

    def blocks(self, count):
        index = numpy.arange(count, dtype=numpy.uint64)
        words = (numpy.uint64(self.stream & 0xFFFFFFFF), numpy.uint64(self.stream >> 32))
        return philox4x32((index & LOW, index >> HALF, *(numpy.full_like(index, word) for word in words)), self.key)

    def uniform(self, count):
        """Elements 0 to count - 1: multiples of 2^-24 in [0, 1), in float64."""
        words = self.blocks((count + 3) // 4).reshape(-1)[:count]
        return (words >> numpy.uint64(8)).astype(numpy.float64) * 2.0**-24

    def centred(self, count):
        """The same, spread over [-1, 1); exact in fp32."""
        return 2 * self.uniform(count) - 1

    def below(self, count, bound):
        words = self.blocks((count + 1) // 2).reshape(-1, 2)
        bits = [int(high) << 32 | int(low) for low, high in words[:count]]
        return numpy.array([value * bound >> 64 for value in bits], dtype=numpy.int64)


def he_uniform(name, shape, seed):
    """A weight [out, in, ...] uniform in [-scale, scale), scale = sqrt(6 / fan in), rounded to fp32 as it is there."""
    scale = numpy.float32(numpy.sqrt(6.0 / numpy.prod(shape[1:])))
    unit = RandomStream(seed, "init/" + name).centred(int(numpy.prod(shape))).astype(numpy.float32)
    return (scale * unit).reshape(shape)
