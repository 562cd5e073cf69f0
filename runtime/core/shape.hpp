// The extents of a tensor. Activations are given per sample (the batch is a number of its own, because the
// last step of an epoch is shorter), images as height, width, channels (NHWC).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme {

class Shape {
  public:
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
    explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

    [[nodiscard]] int rank() const { return static_cast<int>(dims_.size()); }
    [[nodiscard]] std::int64_t operator[](int axis) const { return dims_.at(static_cast<std::size_t>(axis)); }
    [[nodiscard]] const std::vector<std::int64_t>& dims() const { return dims_; }
    /// Product of the extents; 1 for a scalar (rank 0).
    [[nodiscard]] Elements elements() const;
    /// "[28, 28, 1]"
    [[nodiscard]] std::string str() const;

    bool operator==(const Shape&) const = default;

  private:
    std::vector<std::int64_t> dims_;
};

}  // namespace trireme
