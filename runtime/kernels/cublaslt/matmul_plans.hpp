// Plans of products: the algorithm that cuBLASLt's heuristics name for one, asked once and kept, so that a
// launch is one call that allocates nothing and asks nothing. Equal products share a plan.
//
// The same product on the same GPU and library has the same algorithm on every rank, since the heuristics are
// a function of these. A deterministic job leaves out algorithms that split sums, and nothing is measured, so
// its bits do not depend on the rank.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "runtime/device/device.hpp"
#include "runtime/kernels/cublaslt/matmul_description.hpp"

namespace trireme::cublaslt {

struct MatmulPlan {
    MatmulDescription description;
    cublasLtMatmulAlgo_t algorithm;
    std::size_t workspace = 0;  ///< bytes that the algorithm uses
};

/// One thread at a time: a launch writes its pointers into the plan.
class MatmulPlans {
  public:
    using Plan = MatmulPlan;

    /// Of the current device of the calling thread. Throws DeviceError.
    explicit MatmulPlans(bool deterministic);

    /// Null where there is no algorithm.
    [[nodiscard]] std::shared_ptr<Plan> plan(const ColumnProduct& product);
    /// Why there was none, in cuBLASLt's words: of the last plan that was null.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    void run(Plan& plan, Stream& stream, const ProductMemory& memory) const;

  private:
    Owned<cublasLtHandle_t> handle_;
    bool deterministic_;
    std::string refusal_;
    std::map<std::string, std::shared_ptr<Plan>> plans_;  ///< by ColumnProduct::str(); null: none
};

}  // namespace trireme::cublaslt
