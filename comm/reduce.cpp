#include "comm/reduce.hpp"

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

template <class T>
void add(std::byte* into, const std::byte* from, std::int64_t count) {
    T* __restrict a = reinterpret_cast<T*>(into);
    const T* __restrict b = reinterpret_cast<const T*>(from);
    for (std::int64_t i = 0; i < count; ++i) a[i] += b[i];
}

}  // namespace

void add_into(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) {
    switch (dtype) {
        case DType::f32:
            return add<float>(into, from, count);
        case DType::f64:
            return add<double>(into, from, count);
        case DType::u8:
        case DType::i32:
        case DType::i64:
        case DType::bf16:
        case DType::f16:
        case DType::u16:
            throw InternalError("a collective cannot sum elements of type " + std::string(name_of(dtype)));
    }
}

}  // namespace trireme::comm
