#include "tests/emulated/cudnn/plan.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tests/emulated/cudnn/compute.hpp"
#include "tests/emulated/cudnn/descriptors.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

/// Values of a graph's tensors while one launch runs. Each is dropped behind its last reader.
class Run {
  public:
    Run(const Graph& graph, const Launch& launch, const Precision& precision)
        : graph_(graph), precision_(precision) {
        std::size_t value = 0;
        for (std::size_t i = 0; i < graph.in_memory().size(); ++i) {
            const TensorPtr& tensor = graph.in_memory()[i];
            if (tensor->by_value) {
                keep(tensor->uid, {{1, 1, 1, 1}, {1, 1, 1, 1}, {launch.values[value++]}});
                continue;
            }
            memory_[tensor->uid] = launch.memory[i];
            // All that is read is read before anything is written.
            if (graph.reads_of(tensor->uid) > 0) keep(tensor->uid, load(*tensor, launch.memory[i]));
        }
    }

    void operate(const Operation& operation) {
        const Results results =
            std::visit([&](const auto& body) { return results_of(body); }, operation.body);
        for (const TensorPtr& tensor : operation.reads) {
            if (--left_[tensor->uid] == 0) values_.erase(tensor->uid);
        }
        for (std::size_t i = 0; i < results.size(); ++i) write(*operation.writes[i], results[i]);
    }

  private:
    void keep(std::int64_t uid, Values values) {
        left_.emplace(uid, graph_.reads_of(uid));
        values_.insert_or_assign(uid, std::move(values));
    }
    [[nodiscard]] const Values& of(const TensorPtr& tensor) const { return values_.at(tensor->uid); }
    [[nodiscard]] const Values* of_one_or_none(const TensorPtr& tensor) const {
        return tensor == nullptr ? nullptr : &of(tensor);
    }
    /// Who reads what was written reads what its type holds of it.
    void write(const Tensor& tensor, Values values) {
        round_to(values, tensor.type);
        if (!tensor.is_virtual) store(values, tensor, memory_.at(tensor.uid));
        if (graph_.reads_of(tensor.uid) > 0) keep(tensor.uid, std::move(values));
    }

    [[nodiscard]] Results results_of(const Convolution& c) const {
        const auto read = [&](const TensorPtr& tensor) {
            return tensor == c.result() ? nullptr : &of(tensor);
        };
        const Values* before = c.beta == 0 ? nullptr : &of(c.result());
        return {compute(c, read(c.x), read(c.w), read(c.y), before, precision_)};
    }
    [[nodiscard]] Results results_of(const Pointwise& p) const {
        return {compute(p, of(p.x), of_one_or_none(p.b), of_one_or_none(p.t), of_one_or_none(p.dy))};
    }
    [[nodiscard]] Results results_of(const Matmul& m) const {
        return {compute(m, of(m.a), of(m.b), precision_)};
    }
    [[nodiscard]] Results results_of(const Reduction& r) const { return {compute(r, of(r.x))}; }
    [[nodiscard]] Results results_of(const Reshape& r) const { return {compute(r, of(r.x))}; }
    [[nodiscard]] Results results_of(const ChannelSums& s) const { return compute(s, of(s.x)); }
    [[nodiscard]] Results results_of(const NormGradients& n) const {
        return compute(n, of(n.x), of(n.dy), of(n.mean), of(n.inverse_deviation), of(n.scale));
    }

    const Graph& graph_;
    Precision precision_;
    std::map<std::int64_t, std::byte*> memory_;
    std::map<std::int64_t, Values> values_;
    std::map<std::int64_t, int> left_;  ///< readers that are still to come
};

/// Bytes that a tensor's elements lie in, as flags from its first byte on.
std::vector<bool> bytes_of(const Tensor& tensor) {
    const std::int64_t size = size_of(tensor.type);
    std::vector<bool> bytes(static_cast<std::size_t>(tensor.extent() * size));
    for_each_row(tensor.dims, {0, 1, 2, 3}, [&](const Axes& first) {
        for (std::int64_t i = 0; i < tensor.dims[3]; ++i) {
            const std::int64_t at = (offset_of(first, tensor.strides) + i * tensor.strides[3]) * size;
            for (std::int64_t byte = 0; byte < size; ++byte)
                bytes[static_cast<std::size_t>(at + byte)] = true;
        }
    });
    return bytes;
}

}  // namespace

Launch* Plan::launch(const VariantPack& pack) {
    auto made = std::make_unique<Launch>();
    made->plan = this;
    for (const TensorPtr& tensor : graph_->in_memory()) {
        const auto found = std::find(pack.uids.begin(), pack.uids.end(), tensor->uid);
        require(found != pack.uids.end(), "a variant pack has nothing for {}", text_of(*tensor));
        void* memory = pack.memory[static_cast<std::size_t>(found - pack.uids.begin())];
        if (memory == nullptr)
            refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a variant pack has null for {}", text_of(*tensor));
        made->memory.push_back(static_cast<std::byte*>(memory));
        if (tensor->by_value) {  // on the host, and the caller's own again when this returns
            float value = 0;
            std::memcpy(&value, memory, sizeof(value));
            made->values.push_back(value);
            made->memory.back() = nullptr;
        }
    }
    require(pack.uids.size() == graph_->in_memory().size(),
            "a variant pack names {} tensors, and the graph has {} in memory", pack.uids.size(),
            graph_->in_memory().size());
    made->workspace = static_cast<std::byte*>(pack.workspace);
    if (config_.workspace > 0 && pack.workspace == nullptr)
        refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a plan that needs a workspace has none");
    if (config_.workspace == 0) made->workspace = nullptr;
    check_memory(*made);
    for (const auto& known : launches_) {
        if (known->memory == made->memory && known->values == made->values &&
            known->workspace == made->workspace) {
            return known.get();
        }
    }
    launches_.push_back(std::move(made));
    return launches_.back().get();
}

void Plan::check_memory(const Launch& launch) {
    const auto& tensors = graph_->in_memory();
    const auto address = [&](std::size_t i) {
        return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(launch.memory[i]));
    };
    const auto bytes = [&](std::size_t i) { return tensors[i]->extent() * size_of(tensors[i]->type); };
    const auto space = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(launch.workspace));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (tensors[i]->by_value) continue;
        if (address(i) % tensors[i]->alignment != 0) {
            refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "{} lies at {:#x} and is to be aligned to {}",
                   text_of(*tensors[i]), address(i), tensors[i]->alignment);
        }
        require(launch.workspace == nullptr || address(i) + bytes(i) <= space ||
                    space + config_.workspace <= address(i),
                "{} lies in the workspace", text_of(*tensors[i]));
        for (std::size_t j = 0; j < i; ++j) {
            const bool one_is_written =
                graph_->is_written(tensors[i]->uid) || graph_->is_written(tensors[j]->uid);
            if (tensors[j]->by_value || !one_is_written) continue;
            if (address(i) + bytes(i) <= address(j) || address(j) + bytes(j) <= address(i)) continue;
            require(!share(i, j, address(j) - address(i)), "{} and {} share memory, and one is written",
                    text_of(*tensors[i]), text_of(*tensors[j]));
        }
    }
}

/// Rows of attention lie between each other and share nothing.
bool Plan::share(std::size_t a, std::size_t b, std::int64_t bytes_apart) {
    const std::size_t pair = a * graph_->in_memory().size() + b;
    const auto [known, is_new] = shared_.emplace(std::pair{pair, bytes_apart}, false);
    if (!is_new) return known->second;
    const std::vector<bool> of_a = bytes_of(*graph_->in_memory()[a]);
    const std::vector<bool> of_b = bytes_of(*graph_->in_memory()[b]);
    for (std::size_t i = 0; i < of_b.size() && !known->second; ++i) {
        const std::int64_t at = static_cast<std::int64_t>(i) + bytes_apart;
        if (at < 0 || at >= static_cast<std::int64_t>(of_a.size())) continue;
        known->second = of_b[i] && of_a[static_cast<std::size_t>(at)];
    }
    return known->second;
}

void Plan::run(const Launch& launch) {
    // Whatever lies there is a plan's to write over.
    if (launch.workspace != nullptr)
        std::memset(launch.workspace, 0xff, static_cast<std::size_t>(config_.workspace));
    Run run(*graph_, launch, Precision{config_.arithmetic, runs_++});
    for (const Operation& operation : graph_->operations()) run.operate(operation);
}

}  // namespace trireme::emulated::dnn
