// Offers what the rules take as kernels over the two policies of graph_kernels.hpp.
#pragma once

#include "runtime/kernels/cuda/nodes/graph_attention.hpp"
#include "runtime/kernels/cuda/nodes/graph_chain.hpp"
#include "runtime/kernels/cuda/nodes/graph_convolution.hpp"
#include "runtime/kernels/rules/cudnn_rules.hpp"

namespace trireme::cudnn {

template <class Launch, class Graphs>
class GraphProvider final : public KernelProvider {
  public:
    GraphProvider(DeviceModel device, std::shared_ptr<Graphs> graphs)
        : device_(std::move(device)), graphs_(std::move(graphs)) {}

    [[nodiscard]] std::string_view name() const override { return rules_.name(); }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override {
        const RuleOffer answer = rules_.offer(request, device_);
        if (!answer.rules) return {nullptr, answer.refusal};
        const NodeView view(request);
        if (const auto* conv = std::get_if<layers::Conv2d>(&view.node.op)) {
            return checked(std::make_unique<ConvKernels<Launch, Graphs>>(
                view, *plan_of(*conv, view, device_).plan, graphs_));
        }
        if (const auto* chain = std::get_if<layers::ConvNormChain>(&view.node.op)) {
            return checked(std::make_unique<ChainKernels<Launch, Graphs>>(
                *chain, *plan_of(*chain, view, device_).plan, graphs_));
        }
        const auto& attention = std::get<layers::CausalSelfAttention>(view.node.op);
        return checked(
            std::make_unique<AttentionKernels<Graphs>>(*plan_of(attention, view, device_).plan, graphs_));
    }

  private:
    static KernelOffer checked(std::unique_ptr<GraphKernels<Graphs>> kernels) {
        if (!kernels->refusal().empty()) return {nullptr, kernels->refusal()};
        return {std::move(kernels), ""};
    }

    CudnnRules rules_;
    DeviceModel device_;
    std::shared_ptr<Graphs> graphs_;
};

}  // namespace trireme::cudnn
