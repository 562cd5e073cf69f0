// An operation graph: its operations in an order in which each finds what it reads.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/emulated/cudnn/operations.hpp"

namespace trireme::emulated::dnn {

class Graph {
  public:
    /// Throws Refusal where uids, producers or readers do not fit each other.
    explicit Graph(std::vector<Operation> operations);

    [[nodiscard]] const std::vector<Operation>& operations() const { return operations_; }
    /// All that a variant pack must name.
    [[nodiscard]] const std::vector<TensorPtr>& in_memory() const { return in_memory_; }
    [[nodiscard]] bool is_written(std::int64_t uid) const { return producers_.count(uid) != 0; }
    /// How often operations read it.
    [[nodiscard]] int reads_of(std::int64_t uid) const;
    /// Why no engine has this graph, by what cuDNN 9.19 was seen to take; empty where some has.
    [[nodiscard]] std::string unsupported() const;
    /// Whether products read fp32.
    [[nodiscard]] bool multiplies_fp32() const;

  private:
    void note(const TensorPtr& tensor);
    void order();
    void check() const;

    std::vector<Operation> operations_;
    std::map<std::int64_t, TensorPtr> tensors_;
    std::map<std::int64_t, std::size_t> producers_;  ///< operation, by uid
    std::map<std::int64_t, int> reads_;
    std::vector<TensorPtr> in_memory_;
};

}  // namespace trireme::emulated::dnn
