// The HDF5 types of the runtime's element types, always little-endian.
#pragma once

#include "io/hdf5/handle.hpp"
#include "runtime/core/dtype.hpp"

namespace trireme::io::hdf5 {

/// fp16 is HDF5's own 16-bit IEEE float, as h5py reads it; bf16, which HDF5 has no name for, is stored as
/// u16.
[[nodiscard]] Handle type_of(DType dtype);
/// A fixed-length UTF-8 type of `bytes` bytes, padded with zeros.
[[nodiscard]] Handle text_type(std::size_t bytes);

}  // namespace trireme::io::hdf5
