#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/graph_provider.hpp"
#include "runtime/kernels/cudnn/cudnn_provider.hpp"
#include "runtime/kernels/cudnn/graph_plans.hpp"
#include "runtime/kernels/cudnn/plan_tuner.hpp"

namespace trireme {

CudnnProvider::CudnnProvider(DeviceModel device, std::shared_ptr<PlanCache> tuned)
    : device_(std::move(device)), tuned_(std::move(tuned)) {}
CudnnProvider::~CudnnProvider() = default;

KernelOffer CudnnProvider::offer(const KernelRequest& request) const {
    using Provider = cudnn::GraphProvider<cuda::DeviceLaunch, cudnn::GraphPlans>;
    if (provider_ == nullptr) {
        graphs_ = std::make_shared<cudnn::GraphPlans>(device_.sm, tuned_);
        provider_ = std::make_unique<Provider>(device_, graphs_);
    }
    return provider_->offer(request);
}

std::string CudnnProvider::measure_plans() {
    if (tuned_ == nullptr || graphs_ == nullptr) return {};
    cudnn::tune_and_keep(graphs_->asked(), device_.sm, *tuned_);
    return tuned_->text();
}

void CudnnProvider::adopt_plans(std::string_view text) {
    if (tuned_ == nullptr || text.empty()) return;
    tuned_->replace(text);  // what this rank's file knew beside it is not the others'
    if (graphs_ != nullptr) graphs_->forget();
}

}  // namespace trireme
