#include "tests/emulated/cudnn/graph.hpp"

#include <set>

#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

constexpr std::int64_t channels_of_vector = 8;  ///< fp16 numbers in 16 bytes
constexpr std::int64_t most_taps = 32;

/// Of the convolution beside which statistics or the gradients of a norm are computed.
std::string unsupported_beside_norm(const Convolution& c) {
    for (const TensorPtr& operand : {c.x, c.w, c.y}) {
        const bool operand_in_memory = !operand->is_virtual;
        if (operand_in_memory && operand->type != CUDNN_DATA_HALF)
            return "norms are joined to convolutions in fp16 alone";
    }
    if (c.groups() > 1) return "norms are not joined to convolutions in groups";
    if (c.x->dims[1] % channels_of_vector != 0 || c.w->dims[0] % channels_of_vector != 0)
        return "norms are joined to convolutions whose channels come in eights";
    if (c.w->dims[2] * c.w->dims[3] >= most_taps)
        return "norms are joined to convolutions of fewer than 32 taps";
    if (c.at.dilation != Plane{1, 1}) return "norms are not joined to convolutions with dilation";
    return {};
}

std::string unsupported_product(const Matmul& m) {
    for (const TensorPtr& operand : {m.a, m.b}) {
        const bool operand_in_memory = !operand->is_virtual;
        if (operand_in_memory && !is_16_bit(operand->type)) return "attention is computed in 16 bits alone";
    }
    return {};
}

}  // namespace

Graph::Graph(std::vector<Operation> operations) : operations_(std::move(operations)) {
    for (const Operation& operation : operations_) {
        for (const TensorPtr& tensor : operation.reads) {
            note(tensor);
            ++reads_[tensor->uid];
        }
        for (const TensorPtr& tensor : operation.writes) note(tensor);
    }
    order();
    check();
    for (const auto& [uid, tensor] : tensors_)
        if (!tensor->is_virtual) in_memory_.push_back(tensor);
}

void Graph::note(const TensorPtr& tensor) {
    const auto [found, is_new] = tensors_.emplace(tensor->uid, tensor);
    require(is_new || *found->second == *tensor, "two tensors of a graph have uid {}", tensor->uid);
}

/// The order in which operations are given is free.
void Graph::order() {
    std::set<std::int64_t> awaited;
    for (const Operation& operation : operations_) {
        for (const TensorPtr& tensor : operation.writes) {
            require(awaited.insert(tensor->uid).second, "{} is written twice", text_of(*tensor));
            require(!tensor->by_value, "{} is written and by value", text_of(*tensor));
        }
    }
    std::vector<Operation> ordered;
    while (!operations_.empty()) {
        std::vector<Operation> later;
        for (Operation& operation : operations_) {
            bool ready = true;
            for (const TensorPtr& tensor : operation.reads) ready = ready && awaited.count(tensor->uid) == 0;
            if (!ready) {
                later.push_back(std::move(operation));
                continue;
            }
            for (const TensorPtr& tensor : operation.writes) {
                awaited.erase(tensor->uid);
                producers_[tensor->uid] = ordered.size();
            }
            ordered.push_back(std::move(operation));
        }
        require(later.size() < operations_.size(), "operations of a graph wait for each other");
        operations_ = std::move(later);
    }
    operations_ = std::move(ordered);
}

void Graph::check() const {
    for (const auto& [uid, tensor] : tensors_) {
        if (!tensor->is_virtual) continue;
        require(is_written(uid), "{} is virtual and no operation gives it", text_of(*tensor));
    }
}

int Graph::reads_of(std::int64_t uid) const {
    const auto found = reads_.find(uid);
    return found == reads_.end() ? 0 : found->second;
}

std::string Graph::unsupported() const {
    bool normalizes = false;
    bool multiplies = false;
    const Convolution* convolution = nullptr;
    for (const Operation& operation : operations_) {
        normalizes = normalizes || std::holds_alternative<ChannelSums>(operation.body) ||
                     std::holds_alternative<NormGradients>(operation.body);
        if (const auto* product = std::get_if<Matmul>(&operation.body)) {
            multiplies = true;
            if (std::string why = unsupported_product(*product); !why.empty()) return why;
        }
        if (const auto* found = std::get_if<Convolution>(&operation.body)) {
            if (convolution != nullptr) return "a graph has one convolution";
            convolution = found;
        }
    }
    if (convolution == nullptr) return multiplies ? "" : "a graph has a convolution or products";
    for (const TensorPtr& operand : {convolution->x, convolution->w, convolution->y}) {
        const bool operand_is_made = operand != convolution->result() && is_written(operand->uid);
        normalizes = normalizes || operand_is_made;
    }
    return normalizes ? unsupported_beside_norm(*convolution) : std::string();
}

bool Graph::multiplies_fp32() const {
    for (const Operation& operation : operations_) {
        const auto* convolution = std::get_if<Convolution>(&operation.body);
        if (convolution == nullptr) continue;
        for (const TensorPtr& operand : {convolution->x, convolution->w, convolution->y}) {
            const bool reads = operand != convolution->result() && !operand->is_virtual;
            if (reads && operand->type == CUDNN_DATA_FLOAT) return true;
        }
    }
    return false;
}

}  // namespace trireme::emulated::dnn
