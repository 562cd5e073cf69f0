#include "io/checkpoint/slice.hpp"

#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::int64_t max_elements = std::int64_t{1} << 48;

/// Product of extents, or -1 where it is negative or beyond any tensor.
std::int64_t bounded_product(const Dims& extents) {
    std::int64_t product = 1;
    for (const std::int64_t extent : extents) {
        if (extent < 0 || (extent > 0 && product > max_elements / extent)) return -1;
        product *= extent;
    }
    return product;
}

/// Both boxes with the trailing axes that both take whole joined into the axis before them; one axis at
/// least.
struct JoinedBoxes {
    Dims a_offset, a_extent, b_offset, b_extent;
};

JoinedBoxes join_axes(const SliceSpec& a, const SliceSpec& b) {
    JoinedBoxes boxes{a.box_offset, a.box_extent, b.box_offset, b.box_extent};
    Dims global = a.global_shape.dims();
    if (global.empty()) return {{0}, {1}, {0}, {1}};
    while (global.size() > 1 && boxes.a_extent.back() == global.back() &&
           boxes.b_extent.back() == global.back()) {
        const std::int64_t whole = global.back();
        for (Dims* dims : {&global, &boxes.a_offset, &boxes.a_extent, &boxes.b_offset, &boxes.b_extent}) {
            dims->pop_back();
            dims->back() *= whole;
        }
    }
    return boxes;
}

/// Row-major index of `corner` (global coordinates) inside a box.
std::int64_t index_in_box(const Dims& corner, const Dims& offset, const Dims& extent) {
    std::int64_t index = 0;
    for (std::size_t d = 0; d < corner.size(); ++d) index = index * extent[d] + corner[d] - offset[d];
    return index;
}

}  // namespace

SliceSpec SliceSpec::whole(std::string name, Shape shape, DType dtype) {
    SliceSpec spec;
    spec.name = std::move(name);
    spec.dtype = dtype;
    spec.box_offset.assign(shape.dims().size(), 0);
    spec.box_extent = shape.dims();
    spec.flat = {0, shape.elements().value};
    spec.global_shape = std::move(shape);
    return spec;
}

std::int64_t slice_elements(const SliceSpec& spec) { return spec.flat.size(); }

std::int64_t slice_bytes(const SliceSpec& spec) { return spec.flat.size() * size_of(spec.dtype); }

std::string slice_problem(const SliceSpec& spec) {
    const Dims& global = spec.global_shape.dims();
    if (spec.name.empty() || spec.name.size() > 1024) return "its name is empty or longer than 1,024 bytes";
    if (global.size() > max_tensor_rank) return fmt::format("it has {} axes", global.size());
    if (bounded_product(global) < 0) return "its tensor has an impossible size";
    if (spec.box_offset.size() != global.size() || spec.box_extent.size() != global.size()) {
        return "its box has another number of axes than its tensor";
    }
    for (std::size_t d = 0; d < global.size(); ++d) {
        const std::int64_t offset = spec.box_offset[d];
        const std::int64_t extent = spec.box_extent[d];
        if (offset < 0 || extent < 0 || offset > global[d] || extent > global[d] - offset) {
            return fmt::format("its box leaves the tensor at axis {}", d);
        }
    }
    if (spec.flat.begin < 0 || spec.flat.begin > spec.flat.end ||
        spec.flat.end > bounded_product(spec.box_extent)) {
        return fmt::format("its range {} to {} leaves its box", spec.flat.begin, spec.flat.end);
    }
    return "";
}

void for_shared_stretches(const SliceSpec& a, const SliceSpec& b,
                          const std::function<void(const SharedStretch&)>& visit) {
    if (a.flat.empty() || b.flat.empty()) return;
    const JoinedBoxes boxes = join_axes(a, b);
    const std::size_t axes = boxes.a_offset.size();
    Dims low(axes);
    Dims high(axes);
    for (std::size_t d = 0; d < axes; ++d) {
        low[d] = std::max(boxes.a_offset[d], boxes.b_offset[d]);
        high[d] = std::min(boxes.a_offset[d] + boxes.a_extent[d], boxes.b_offset[d] + boxes.b_extent[d]);
        if (low[d] >= high[d]) return;
    }
    const std::int64_t row = high.back() - low.back();
    Dims corner = low;
    for (bool more = true; more;) {
        const std::int64_t in_a = index_in_box(corner, boxes.a_offset, boxes.a_extent);
        const std::int64_t in_b = index_in_box(corner, boxes.b_offset, boxes.b_extent);
        // The part of this row that lies in both flat ranges.
        const std::int64_t begin = std::max({std::int64_t{0}, a.flat.begin - in_a, b.flat.begin - in_b});
        const std::int64_t end = std::min({row, a.flat.end - in_a, b.flat.end - in_b});
        if (begin < end) visit({in_a + begin - a.flat.begin, in_b + begin - b.flat.begin, end - begin});
        more = false;
        for (std::size_t d = axes - 1; d-- > 0 && !more;) {
            more = ++corner[d] < high[d];
            if (!more) corner[d] = low[d];
        }
    }
}

}  // namespace trireme::io
