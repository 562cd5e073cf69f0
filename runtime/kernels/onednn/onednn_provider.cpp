#include "runtime/kernels/onednn/onednn_provider.hpp"

#include <optional>
#include <type_traits>
#include <variant>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme {
namespace {

/// A reason that can be told from shapes and types alone.
std::optional<std::string> refuse_by_shape(const NodeView& view) {
    const layers::ModelGraph& graph = *view.request.graph;
    for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
        const layers::TensorSpec& tensor = graph.tensor(view.node.inputs[i]);
        const DType wanted = layers::input_dtype(view.node.op, i);
        const bool serves =
            tensor.dtype == DType::bf16 && wanted == DType::f32 && !layers::is_loss(view.node.op);
        if (tensor.dtype != wanted && !serves) {
            return fmt::format("input '{}' is {}, these kernels take {}", tensor.name, name_of(tensor.dtype),
                               name_of(wanted));
        }
    }
    if (const layers::TensorSpec& output = graph.tensor(view.node.output); output.dtype == DType::f16)
        return fmt::format("output '{}' is f16, these kernels write f32 and bf16", output.name);
    const bool image = std::holds_alternative<layers::Conv2d>(view.node.op) ||
                       std::holds_alternative<layers::Pool2d>(view.node.op) ||
                       std::holds_alternative<layers::GlobalAveragePool>(view.node.op);
    if (image && view.input.rank() != 3) {
        return fmt::format("input {} has rank {}, these kernels take height, width, channels",
                           view.input.str(), view.input.rank());
    }
    if (view.input.rank() < 1) return "the input is a scalar for each sample, these kernels take vectors";
    return std::nullopt;
}

std::optional<std::string> refuse_by_scratch(const KernelNeeds& needs, Bytes cap) {
    const Bytes scratch = std::max(needs.forward_scratch, needs.backward_scratch);
    if (scratch <= cap) return std::nullopt;
    return fmt::format("workspace of {} over the cap of {} (job.workspace_mb)", human_bytes(scratch),
                       human_bytes(cap));
}

}  // namespace

KernelOffer OnednnProvider::offer(const KernelRequest& request) const {
    ensure(request.graph != nullptr && request.batch >= 1, "a kernel request has a graph and a batch");
    const NodeView view(request);
    if (layers::is_view(view.node.op)) return {nullptr, "a view needs no kernel"};
    if (auto reason = refuse_by_shape(view)) return {nullptr, *reason};
    cpu::use_kernel_threads(request.threads);
    KernelOffer result;
    try {
        std::visit(
            [&](const auto& op) {
                if constexpr (requires { onednn::make_kernels(op, view); }) {
                    result.kernels = onednn::make_kernels(op, view);
                }
            },
            view.node.op);
    } catch (const dnnl::error& e) {
        return {nullptr, fmt::format("oneDNN {} {}", onednn::version(), e.what())};
    }
    if (!result.kernels) return {nullptr, "this provider has no kernel for the op"};
    if (auto reason = refuse_by_scratch(result.kernels->needs(), request.workspace_cap)) {
        return {nullptr, *reason};
    }
    return result;
}

namespace onednn {

std::string version() {
    const dnnl_version_t* v = dnnl_version();
    return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

std::string instruction_set() {
    switch (dnnl::get_effective_cpu_isa()) {
        case dnnl::cpu_isa::sse41:
            return "sse41";
        case dnnl::cpu_isa::avx:
            return "avx";
        case dnnl::cpu_isa::avx2:
            return "avx2";
        case dnnl::cpu_isa::avx2_vnni:
            return "avx2_vnni";
        case dnnl::cpu_isa::avx2_vnni_2:
            return "avx2_vnni_2";
        case dnnl::cpu_isa::avx512_core:
            return "avx512_core";
        case dnnl::cpu_isa::avx512_core_vnni:
            return "avx512_core_vnni";
        case dnnl::cpu_isa::avx512_core_bf16:
            return "avx512_core_bf16";
        case dnnl::cpu_isa::avx512_core_fp16:
            return "avx512_core_fp16";
        case dnnl::cpu_isa::avx512_core_amx:
            return "avx512_core_amx";
        case dnnl::cpu_isa::avx512_core_amx_fp16:
            return "avx512_core_amx_fp16";
        default:
            return "generic";
    }
}

}  // namespace onednn
}  // namespace trireme
