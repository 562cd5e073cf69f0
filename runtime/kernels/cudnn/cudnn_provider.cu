#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/graph_provider.hpp"
#include "runtime/kernels/cudnn/cudnn_provider.hpp"
#include "runtime/kernels/cudnn/graph_plans.hpp"

namespace trireme {

KernelOffer CudnnProvider::offer(const KernelRequest& request) const {
    using Provider = cudnn::GraphProvider<cuda::DeviceLaunch, cudnn::GraphPlans>;
    if (provider_ == nullptr) {
        provider_ =
            std::make_unique<Provider>(device_, std::make_shared<cudnn::GraphPlans>(device_.sm, tuned_));
    }
    return provider_->offer(request);
}

}  // namespace trireme
