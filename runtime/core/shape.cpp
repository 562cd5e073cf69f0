#include "runtime/core/shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme {

Elements Shape::elements() const {
    std::int64_t product = 1;
    for (std::int64_t d : dims_) product *= d;
    return Elements(product);
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(dims_, ", ")); }

}  // namespace trireme
