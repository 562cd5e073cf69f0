// The cudnn provider on the host-run device: graphs by their definitions (tests/support/host_graphs.hpp).
#pragma once

#include <memory>

#include "runtime/kernels/cuda/nodes/graph_provider.hpp"
#include "tests/hostrun/host_launch.hpp"
#include "tests/support/host_graphs.hpp"

namespace trireme::hostrun {

class HostCudnn final : public KernelProvider {
  public:
    explicit HostCudnn(DeviceModel device = {}) : provider_(std::move(device), graphs_) {}
    [[nodiscard]] std::string_view name() const override { return "cudnn"; }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override {
        if (chains_alone &&
            !std::holds_alternative<layers::ConvNormChain>(request.graph->node(request.node).op))
            return {nullptr, "the test has it for chains alone"};
        KernelRequest capped = request;
        capped.workspace_cap = cap;
        return provider_.offer(capped);
    }
    [[nodiscard]] test::HostGraphs& graphs() { return *graphs_; }
    Bytes cap{std::int64_t{1} << 20};  ///< small: workspaces are spoilt at each launch
    bool chains_alone = false;         ///< plain convolutions are others'

  private:
    std::shared_ptr<test::HostGraphs> graphs_ = std::make_shared<test::HostGraphs>();
    cudnn::GraphProvider<HostLaunch, test::HostGraphs> provider_;
};

/// Graphs that join a norm to a convolution.
[[nodiscard]] inline bool is_joined(cudnn::GraphKind kind) {
    return kind == cudnn::GraphKind::conv_statistics ||
           kind == cudnn::GraphKind::normalized_conv_statistics ||
           kind == cudnn::GraphKind::normalized_weight_gradient ||
           kind == cudnn::GraphKind::input_gradient_norm_sums;
}

}  // namespace trireme::hostrun
