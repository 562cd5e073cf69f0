#include "runtime/kernels/cublaslt/cublaslt_provider.hpp"
#include "runtime/kernels/cublaslt/matmul_plans.hpp"
#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/product_steps.hpp"
#include "runtime/kernels/rules/cublaslt_steps.hpp"

namespace trireme {

KernelOffer CublasltProvider::offer(const KernelRequest& request) const {
    cublaslt::StepsOffer offer = cublaslt::steps_of(request, device_);
    if (!offer.steps) return {nullptr, std::move(offer.refusal)};
    if (plans_ == nullptr) plans_ = std::make_shared<cublaslt::MatmulPlans>(device_.deterministic);
    return cublaslt::ProductSteps<cuda::DeviceLaunch, cublaslt::MatmulPlans>::make(std::move(*offer.steps),
                                                                                   plans_);
}

}  // namespace trireme
