#include "runtime/exec/model_state.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "layers/init.hpp"
#include "runtime/core/alignment.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/optim/element_rules.hpp"
#include "runtime/optim/running_statistics.hpp"

namespace trireme {

static_assert(std::endian::native == std::endian::little,
              "hashes and files are little-endian; so must be the host");

namespace {

std::vector<layers::ParamId> ids_by_name(const layers::ModelGraph& graph) {
    std::vector<layers::ParamId> order(graph.params().size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](layers::ParamId a, layers::ParamId b) {
        return graph.param(a).name < graph.param(b).name;
    });
    return order;
}

std::vector<layers::BufferId> buffers_by_name(const layers::ModelGraph& graph) {
    std::vector<layers::BufferId> order(graph.buffers().size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](layers::BufferId a, layers::BufferId b) {
        return graph.buffer(a).name < graph.buffer(b).name;
    });
    return order;
}

void require_some_frozen(const std::string& pattern, std::size_t updated, std::size_t all) {
    if (updated == 0 || updated == all) {
        throw ConfigError(fmt::format(
            "model.freeze = {}: matches {} parameter; patterns are names with * and ?, separated by commas "
            "(trireme inspect --what graph lists them)",
            pattern, updated == 0 ? "every" : "no"));
    }
}

Updater updater_of(const OptimizerSpec& spec, UpdateTable table) {
    return {spec, std::move(table.places), std::move(table.settings)};
}

std::span<float> whole(const Region& arena) {
    return {reinterpret_cast<float*>(arena.data()),
            static_cast<std::size_t>(arena.size().value) / sizeof(float)};
}

}  // namespace

UpdateTable update_table_of(const layers::ModelGraph& graph, const GradBuckets& buckets,
                            const OptimizerSpec& spec) {
    const std::vector<ParamSettings> all = param_settings(spec, graph);
    UpdateTable table;
    for (layers::ParamId p : ids_by_name(graph)) {
        const ParamPlace& at = buckets.place(p);
        const IndexRange range{at.offset, at.offset + at.elements};
        // What is frozen is not among the places at all: no rule, momentum, decay or norm sees it.
        if (!spec.frozen.empty() && matches_name(spec.frozen, graph.param(p).name)) {
            table.frozen.push_back(range);
            continue;
        }
        table.places.push_back(range);
        table.settings.push_back(all[static_cast<std::size_t>(p)]);
    }
    if (!spec.frozen.empty()) require_some_frozen(spec.frozen, table.places.size(), all.size());
    return table;
}

std::vector<RunningNorm> running_norms_of(
    const layers::ModelGraph& graph, std::span<const std::int64_t> offset_of_node,
    const std::function<std::int64_t(layers::BufferId)>& offset_of_buffer) {
    ensure(offset_of_node.size() == graph.nodes().size(), "each node has its place in the statistics");
    std::vector<RunningNorm> norms;
    for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
        const layers::Node& node = graph.nodes()[n];
        std::int64_t statistics = offset_of_node[n];
        const auto specs = layers::norms_of(node.op, graph.tensor(node.inputs.front()).shape);
        for (std::size_t i = 0; i < specs.size(); ++i) {
            norms.push_back({.statistics = statistics,
                             .mean = offset_of_buffer(node.buffers.at(2 * i)),
                             .variance = offset_of_buffer(node.buffers.at(2 * i + 1)),
                             .channels = specs[i].channels,
                             .positions = specs[i].positions,
                             .momentum = specs[i].momentum});
            statistics += specs[i].statistics();
        }
    }
    return norms;
}

ModelState::ModelState(const layers::ModelGraph& graph, const GradBuckets& buckets,
                       const OptimizerSpec& optimizer, Device& device)
    : graph_(&graph),
      buckets_(&buckets),
      optimizer_(optimizer),
      state_names_(state_names(optimizer)),
      updater_(updater_of(optimizer, update_table_of(graph, buckets, optimizer))),
      device_(&device) {
    if (device.asynchronous()) stream_ = device.make_stream();
    const Bytes size = bytes_of(buckets.arena_elements(), DType::f32);
    params_ = arena(size);
    for (std::size_t k = 0; k < state_names_.size(); ++k) states_.push_back(arena(size));
    Elements elements{};
    for (const layers::BufferSpec& spec : graph.buffers()) {
        buffer_offsets_.push_back(elements.value);
        elements += aligned(spec.shape.elements(), DType::f32);
    }
    if (elements.value > 0) buffers_ = arena(bytes_of(elements, DType::f32));
}

ModelState::Arena ModelState::arena(Bytes size) {
    if (!stream_) return {Region(device_->memory(), size), Region()};
    return {Region(device_->staging(), size), Region(device_->memory(), size)};
}

std::vector<const ModelState::Arena*> ModelState::arenas() const {
    std::vector<const Arena*> all{&params_};
    if (buffers_.host.data() != nullptr) all.push_back(&buffers_);
    for (const Arena& state : states_) all.push_back(&state);
    return all;
}

float* ModelState::device_params() const { return whole(params_.on_device()).data(); }
float* ModelState::device_state(std::size_t k) const { return whole(states_.at(k).on_device()).data(); }
float* ModelState::device_buffers() const { return whole(buffers_.on_device()).data(); }

void ModelState::change_on_device(std::shared_ptr<Event> changed) {
    ensure(!averaged_, "no update while the parameters hold their average");
    stale_ = stream_ != nullptr;
    changed_ = std::move(changed);
}

void ModelState::fetch() const {
    if (!std::exchange(stale_, false)) return;
    if (changed_ != nullptr) changed_->synchronize();
    for (const Arena* arena : arenas())
        stream_->copy(arena->host.data(), arena->device.data(), arena->host.size());
    stream_->synchronize();
}

void ModelState::send() {
    ensure(!stale_, "the host's copy is not behind the device when it is sent");
    if (!stream_) return;
    for (const Arena* arena : arenas())
        stream_->copy(arena->device.data(), arena->host.data(), arena->host.size());
    stream_->synchronize();
}

void ModelState::initialise(std::uint64_t seed) {
    for (std::size_t p = 0; p < graph_->params().size(); ++p) {
        layers::initial_values(graph_->params()[p], seed, 0, param(static_cast<layers::ParamId>(p)));
    }
    for (std::size_t b = 0; b < graph_->buffers().size(); ++b) {
        const std::span<float> values = buffer(static_cast<layers::BufferId>(b));
        std::fill(values.begin(), values.end(), static_cast<float>(graph_->buffers()[b].start));
    }
    restart_average();
}

void ModelState::restart_average() {
    if (has_average())
        std::copy_n(params_.host.data(), params_.host.size().value, states_.back().host.data());
    send();
}

std::span<float> ModelState::place(const Region& arena, layers::ParamId p) const {
    const ParamPlace& at = buckets_->place(p);
    return {reinterpret_cast<float*>(arena.data()) + at.offset, static_cast<std::size_t>(at.elements)};
}

std::span<float> ModelState::param(layers::ParamId p) const { return place(params_.host, p); }
std::span<float> ModelState::state(std::size_t k, layers::ParamId p) const {
    return place(states_.at(k).host, p);
}

std::span<float> ModelState::buffer(layers::BufferId b) const {
    return {reinterpret_cast<float*>(buffers_.host.data()) + offset_of(b),
            static_cast<std::size_t>(graph_->buffer(b).shape.elements().value)};
}

const float* ModelState::device_param(layers::ParamId p) const {
    return place(params_.on_device(), p).data();
}

const float* ModelState::device_buffer(layers::BufferId b) const { return device_buffers() + offset_of(b); }

Bytes ModelState::optimizer_bytes() const {
    Bytes total{};
    for (const Arena& state : states_) total += state.host.size();
    return total;
}

UpdateReport ModelState::apply(const UpdateScalars& scalars, std::span<const float> gradients) {
    change_on_device(nullptr);
    std::array<std::span<float>, 3> state;  // no optimizer has more; nothing is allocated in a step
    for (std::size_t k = 0; k < states_.size(); ++k) state[k] = whole(states_[k].on_device());
    return updater_.apply(scalars, whole(params_.on_device()), gradients,
                          std::span(state).first(states_.size()), cpu::kernel_threads());
}

UpdateTable ModelState::update_table() const { return update_table_of(*graph_, *buckets_, optimizer_); }

std::vector<RunningNorm> ModelState::running_norms(std::span<const std::int64_t> offset_of_node) const {
    return running_norms_of(*graph_, offset_of_node,
                            [&](layers::BufferId buffer) { return offset_of(buffer); });
}

void ModelState::update_buffers(std::span<const float> statistics, std::span<const RunningNorm> norms,
                                std::int64_t samples) {
    for (const RunningNorm& norm : norms) {
        const auto channels = static_cast<std::size_t>(norm.channels);
        const auto running = [&](std::int64_t at) { return std::span(device_buffers() + at, channels); };
        update_running(statistics.subspan(static_cast<std::size_t>(norm.statistics), 3 * channels),
                       static_cast<double>(samples * norm.positions), norm.momentum, running(norm.mean),
                       running(norm.variance));
    }
}

void ModelState::exchange_with_average() {
    fetch();
    const std::span<float> params = whole(params_.host);
    rules::exchange(static_cast<std::int64_t>(params.size()), params.data(),
                    whole(states_.back().host).data());
    send();
    averaged_ = !averaged_;
}

AverageScope::AverageScope(ModelState& state) : state_(state) {
    ensure(!state_.averaged_, "the parameters hold their average already");
    if (state_.has_average()) state_.exchange_with_average();
}

AverageScope::~AverageScope() {
    if (state_.has_average()) state_.exchange_with_average();
}

std::vector<layers::ParamId> ModelState::by_name() const { return ids_by_name(*graph_); }

std::vector<NamedTensor> ModelState::tensors() const {
    ensure(!averaged_, "nothing is saved while the parameters hold their average");
    fetch();
    std::vector<NamedTensor> all;
    const std::vector<layers::ParamId> order = by_name();
    for (layers::ParamId p : order)
        all.push_back({"params/" + graph_->param(p).name, graph_->param(p).shape, param(p)});
    for (layers::BufferId b : buffers_by_name(*graph_))
        all.push_back({"buffers/" + graph_->buffer(b).name, graph_->buffer(b).shape, buffer(b)});
    for (std::size_t k = 0; k < states_.size(); ++k) {
        for (layers::ParamId p : order) {
            all.push_back({fmt::format("optimizer/{}/{}", state_names_[k], graph_->param(p).name),
                           graph_->param(p).shape, state(k, p)});
        }
    }
    return all;
}

std::string ModelState::params_sha256() const {
    fetch();
    Sha256 hash;
    for (layers::ParamId p : by_name()) hash.update(std::as_bytes(param(p)));
    return hash.finish();
}

std::string ModelState::state_sha256(std::string_view cursor) const {
    Sha256 hash;
    for (const NamedTensor& tensor : tensors()) hash.update(std::as_bytes(tensor.values));
    hash.update(cursor);
    return hash.finish();
}

}  // namespace trireme
