#include "runtime/kernels/cublaslt/matmul_plans.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/kernels/cublaslt/status.hpp"

namespace trireme::cublaslt {
namespace {

Owned<cublasLtHandle_t> make_handle() {
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "starting on this GPU");
    return Owned<cublasLtHandle_t>(handle);
}

}  // namespace

MatmulPlans::MatmulPlans(bool deterministic) : handle_(make_handle()), deterministic_(deterministic) {}

std::shared_ptr<MatmulPlan> MatmulPlans::plan(const ColumnProduct& product) {
    const std::string key = product.str();
    if (const auto found = plans_.find(key); found != plans_.end()) {
        if (found->second == nullptr) refusal_ = fmt::format("no algorithm for {}", key);
        return found->second;
    }
    auto plan = std::make_shared<MatmulPlan>(MatmulPlan{{product, deterministic_}, {}, 0});
    const MatmulDescription& words = plan->description;
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_.get(), words.operation(), words.a(), words.b(), words.d(),
                                       words.d(), words.preference(), 1, &best, &found);
    const bool refused = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
    if (!refused) check(status, fmt::format("looking for an algorithm for {}", key));
    if (refused || found == 0 || best.state != CUBLAS_STATUS_SUCCESS) {
        refusal_ = fmt::format("no algorithm for {}: {}", key, words_of(refused ? status : best.state));
        plan = nullptr;
    } else {
        plan->algorithm = best.algo;
        plan->workspace = best.workspaceSize;
    }
    plans_.emplace(key, plan);
    return plan;
}

void MatmulPlans::run(Plan& plan, Stream& stream, const ProductMemory& memory) const {
    constexpr float one = 1;
    constexpr float zero = 0;
    MatmulDescription& words = plan.description;
    if (const std::byte* vector = memory.sums != nullptr ? memory.sums : memory.bias; vector != nullptr)
        words.set_vector(vector);
    if (memory.aux != nullptr) words.set_aux(memory.aux);
    check(cublasLtMatmul(handle_.get(), words.operation(), &one, memory.a, words.a(), memory.b, words.b(),
                         &zero, memory.d, words.d(), memory.d, words.d(), &plan.algorithm, memory.workspace,
                         plan.workspace, cuda::native(stream)),
          "multiplying");
}

}  // namespace trireme::cublaslt
