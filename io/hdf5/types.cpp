#include "io/hdf5/types.hpp"

#include <bit>

namespace trireme::io::hdf5 {

static_assert(std::endian::native == std::endian::little, "bytes are moved to and from files as they are");

namespace {

Handle half_type() {
    const Place place{"", "type fp16"};
    Handle type = own(H5Tcopy(H5T_IEEE_F32LE), place, "copy a type");
    // Sign 1, exponent 5 and mantissa 10 bits, bias 15; the fields must fit before the size shrinks.
    check(H5Tset_fields(type.id(), 15, 10, 5, 0, 10), place, "set the fields");
    check(H5Tset_size(type.id(), 2), place, "set the size");
    check(H5Tset_ebias(type.id(), 15), place, "set the bias");
    return type;
}

}  // namespace

Handle type_of(DType dtype) {
    const Place place{"", "type"};
    switch (dtype) {
        case DType::u8:
            return own(H5Tcopy(H5T_STD_U8LE), place, "copy a type");
        case DType::i32:
            return own(H5Tcopy(H5T_STD_I32LE), place, "copy a type");
        case DType::i64:
            return own(H5Tcopy(H5T_STD_I64LE), place, "copy a type");
        case DType::f32:
            return own(H5Tcopy(H5T_IEEE_F32LE), place, "copy a type");
        case DType::f64:
            return own(H5Tcopy(H5T_IEEE_F64LE), place, "copy a type");
        case DType::bf16:  // files have no such type: the bits of one lie there as a whole number
        case DType::u16:
            return own(H5Tcopy(H5T_STD_U16LE), place, "copy a type");
        case DType::f16:
            return half_type();
    }
    fail(place, "find the type");
}

Handle text_type(std::size_t bytes) {
    const Place place{"", "type text"};
    Handle type = own(H5Tcopy(H5T_C_S1), place, "copy a type");
    check(H5Tset_size(type.id(), bytes), place, "set the size");
    check(H5Tset_cset(type.id(), H5T_CSET_UTF8), place, "set the character set");
    check(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), place, "set the padding");
    return type;
}

}  // namespace trireme::io::hdf5
