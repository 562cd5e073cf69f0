#include "comm/collective.hpp"

#include <fmt/format.h>

#include "runtime/core/digest.hpp"

namespace trireme::comm {

std::string_view name_of(Op op) {
    switch (op) {
        case Op::all_reduce:
            return "all_reduce";
        case Op::broadcast:
            return "broadcast";
        case Op::all_gather:
            return "all_gather";
        case Op::barrier:
            return "barrier";
        case Op::canonical_all_reduce:
            return "canonical_all_reduce";
    }
    return "?";
}

std::uint64_t Fingerprint::hash() const {
    const std::array<std::uint64_t, 7> fields{
        static_cast<std::uint64_t>(group), sequence,
        static_cast<std::uint64_t>(op),    static_cast<std::uint64_t>(count),
        static_cast<std::uint64_t>(dtype), static_cast<std::uint64_t>(algorithm),
        static_cast<std::uint64_t>(root)};
    return xxh3(fields.data(), sizeof(fields));
}

std::string Fingerprint::str() const {
    std::string text = fmt::format("{} #{}", name_of(op), sequence);
    if (op != Op::barrier) text += fmt::format(" of {} {}", count, trireme::name_of(dtype));
    if (algorithm != Algorithm::automatic) text += fmt::format(" by {}", name_of(algorithm));
    if (op == Op::broadcast) text += fmt::format(" from rank {}", root);
    if (group != 0) text += fmt::format(" in group {}", group);
    return text;
}

}  // namespace trireme::comm
