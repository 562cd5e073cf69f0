#include "runtime/exec/model_state.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "layers/init.hpp"
#include "runtime/core/digest.hpp"

namespace trireme {

static_assert(std::endian::native == std::endian::little,
              "hashes and files are little-endian; so must be the host");

ModelState::ModelState(const layers::ModelGraph& graph, const GradBuckets& buckets,
                       const OptimizerSpec& optimizer, MemorySpace& memory)
    : graph_(&graph), buckets_(&buckets), optimizer_(optimizer), state_names_(state_names(optimizer)) {
    const Bytes size = bytes_of(buckets.arena_elements(), DType::f32);
    params_ = Region(memory, size);
    for (std::size_t k = 0; k < state_names_.size(); ++k) states_.emplace_back(memory, size);
}

void ModelState::initialise(std::uint64_t seed) {
    for (std::size_t p = 0; p < graph_->params().size(); ++p) {
        layers::initial_values(graph_->params()[p], seed, 0, param(static_cast<layers::ParamId>(p)));
    }
}

std::span<float> ModelState::place(const Region& arena, layers::ParamId p) const {
    const ParamPlace& at = buckets_->place(p);
    return {reinterpret_cast<float*>(arena.data()) + at.offset, static_cast<std::size_t>(at.elements)};
}

std::span<float> ModelState::param(layers::ParamId p) const { return place(params_, p); }
std::span<float> ModelState::state(std::size_t k, layers::ParamId p) const { return place(states_.at(k), p); }

Bytes ModelState::optimizer_bytes() const {
    Bytes total{};
    for (const Region& region : states_) total += region.size();
    return total;
}

void ModelState::apply(const UpdateScalars& scalars, std::span<const float> gradients) {
    std::array<std::span<float>, 2> storage;  // no optimizer has more; nothing is allocated in a step
    const std::span<std::span<float>> state(storage.data(), states_.size());
    for (std::size_t i = 0; i < graph_->params().size(); ++i) {
        const auto p = static_cast<layers::ParamId>(i);
        const ParamPlace& at = buckets_->place(p);
        for (std::size_t k = 0; k < state.size(); ++k) state[k] = this->state(k, p);
        update(optimizer_, scalars, param(p),
               gradients.subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.elements)),
               state);
    }
}

std::vector<layers::ParamId> ModelState::by_name() const {
    std::vector<layers::ParamId> order(graph_->params().size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](layers::ParamId a, layers::ParamId b) {
        return graph_->param(a).name < graph_->param(b).name;
    });
    return order;
}

std::string ModelState::params_sha256() const {
    Sha256 hash;
    for (layers::ParamId p : by_name()) hash.update(std::as_bytes(param(p)));
    return hash.finish();
}

std::string ModelState::state_sha256(std::string_view cursor) const {
    Sha256 hash;
    for (layers::ParamId p : by_name()) hash.update(std::as_bytes(param(p)));
    for (std::size_t k = 0; k < states_.size(); ++k) {
        for (layers::ParamId p : by_name()) hash.update(std::as_bytes(state(k, p)));
    }
    hash.update(cursor);
    return hash.finish();
}

}  // namespace trireme
