#include "runtime/kernels/cudnn/planned_graph.hpp"

#include <algorithm>
#include <array>

#include <cudnn_frontend.h>
#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/kernels/cudnn/graphs.hpp"

namespace trireme::cudnn {
namespace {

namespace fe = cudnn_frontend;
using Note = fe::NumericalNote_t;

/// Steps of cuDNN's own search, which stand behind every refusal and explain none.
constexpr std::array search_steps{"finalize()",      "finalize_internal()",     "isSupported()",
                                  "== status",       "check_for_support()",     "check_node_support",
                                  "global index -1", "core_engine.getStatus()", "0x"};

/// cuDNN's reasons, each once, in their order; of other messages the first line.
std::string reasons_in(std::string_view message) {
    constexpr std::string_view mark = "Reason: ";
    constexpr std::size_t enough = 6;
    std::vector<std::string> reasons;
    for (const std::string& line : split(message, '\n')) {
        const std::size_t at = line.find(mark);
        if (at == std::string::npos || reasons.size() == enough) continue;
        const std::string reason(trim(std::string_view(line).substr(at + mark.size())));
        const bool is_step = std::any_of(search_steps.begin(), search_steps.end(), [&](const char* step) {
            return reason.find(step) != std::string::npos;
        });
        if (is_step || std::find(reasons.begin(), reasons.end(), reason) != reasons.end()) continue;
        reasons.push_back(reason);
    }
    if (reasons.empty()) return std::string(trim(message.substr(0, message.find('\n'))));
    std::string text = reasons.front();
    for (std::size_t i = 1; i < reasons.size(); ++i) text += "; " + reasons[i];
    return text;
}

/// The library's graph, whose list of plans it keeps from its users.
class OpenGraph final : public fe::graph::Graph {
  public:
    [[nodiscard]] auto& plan_list() { return plans; }
};

std::vector<Note> refused_notes(const GraphSpec& spec) {
    std::vector<Note> notes{Note::REDUCED_PRECISION_REDUCTION};
    if (spec.deterministic) notes.push_back(Note::NONDETERMINISTIC);
    if (spec.dtype != DType::f32) return notes;
    notes.push_back(Note::DOWN_CONVERT_INPUTS);
    if (!spec.tf32) notes.push_back(Note::TENSOR_CORE);
    return notes;
}

}  // namespace

Target Target::gpu(cudnnContext* handle, int sm) {
    Target target;
    target.handle_ = handle;
    target.sm_ = sm;
    return target;
}

Target Target::described(const std::string& properties, int sm) {
    auto made = std::make_shared<fe::DeviceProperties>();
    auto error = made->deserialize({properties.begin(), properties.end()});
    if (error.is_bad()) {
        throw DeviceError(
            fmt::format("cuDNN does not take the description of a GPU: {}", reasons_in(error.get_message())));
    }
    Target target;
    target.properties_ = std::move(made);
    target.sm_ = sm;
    return target;
}

struct PlannedGraph::Library {
    explicit Library(const GraphSpec& of) : spec(of) {}

    GraphSpec spec;
    OpenGraph graph;
    std::vector<std::string> candidates;
    std::vector<std::int64_t> indices;  ///< of the candidates in the library's list
    std::int64_t taken = -1;
    std::string taken_name;
    std::int64_t taken_workspace = 0;

    /// The library's own error, or none.
    [[nodiscard]] fe::error_t ask(const Target& target) {
        // First, since each node keeps a copy; else attention asks the CUDA runtime for its device.
        graph.set_sm_version(target.sm());
        describe(spec, graph);
        if (target.properties() != nullptr) {
            graph.set_device_properties(
                std::static_pointer_cast<const fe::DeviceProperties>(target.properties()));
        }
        if (auto error = graph.validate(); error.is_bad()) return error;
        if (auto error = graph.build_operation_graph(target.handle()); error.is_bad()) return error;
        // The second is asked for plans that need no workspace and are slow.
        if (auto error = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
            error.is_bad()) {
            return error;
        }
        graph.deselect_numeric_notes(refused_notes(spec));
        graph.deselect_workspace_greater_than(spec.workspace);
        return find_candidates();
    }

    [[nodiscard]] fe::error_t find_candidates() {
        fe::error_t last;
        for (std::int64_t i = 0; i < graph.get_execution_plan_count(); ++i) {
            if (auto error = graph.plan_list().check_support_at_index(i); error.is_bad()) {
                last = error;
                continue;
            }
            std::string name;
            if (graph.get_plan_name_at_index(i, name).is_bad()) continue;
            if (std::find(candidates.begin(), candidates.end(), name) != candidates.end()) continue;
            candidates.push_back(name);
            indices.push_back(i);
        }
        return candidates.empty() ? last : fe::error_t{};
    }

    [[nodiscard]] bool take(std::size_t candidate, std::string& why) {
        const std::int64_t index = indices[candidate];
        std::int64_t needed = 0;
        auto error = graph.build_plan_at_index(index);
        if (error.is_good()) error = graph.get_workspace_size_plan_at_index(index, needed);
        if (error.is_good()) error = graph.prepare_variant_pack_template();
        if (error.is_bad()) {
            why = reasons_in(error.get_message());
            return false;
        }
        // What the front end needs for itself is known only now.
        if (needed > spec.workspace) {
            why = fmt::format("{} needs a workspace of {} and has {}", candidates[candidate], needed,
                              spec.workspace);
            return false;
        }
        taken = index;
        taken_name = candidates[candidate];
        taken_workspace = needed;
        return true;
    }
};

PlannedGraph::PlannedGraph(std::unique_ptr<Library> library) : library_(std::move(library)) {}
PlannedGraph::~PlannedGraph() = default;

std::unique_ptr<PlannedGraph> PlannedGraph::make(const GraphSpec& spec, const Target& target,
                                                 std::string& refusal) {
    auto library = std::make_unique<Library>(spec);
    try {
        auto error = library->ask(target);
        if (error.is_good()) return std::unique_ptr<PlannedGraph>(new PlannedGraph(std::move(library)));
        refusal = reasons_in(error.get_message());
    } catch (const fe::cudnnException& e) {
        refusal = reasons_in(e.what());
    }
    return nullptr;
}

int PlannedGraph::offered() const { return static_cast<int>(library_->graph.get_execution_plan_count()); }
const std::vector<std::string>& PlannedGraph::candidates() const { return library_->candidates; }
const std::string& PlannedGraph::name() const { return library_->taken_name; }
std::int64_t PlannedGraph::workspace() const { return library_->taken_workspace; }

bool PlannedGraph::take(std::string_view name, std::string& why) {
    const auto& candidates = library_->candidates;
    const auto found = std::find(candidates.begin(), candidates.end(), name);
    if (found == candidates.end()) {
        why = fmt::format("cuDNN has no plan {} here", name);
        return false;
    }
    return library_->take(static_cast<std::size_t>(found - candidates.begin()), why);
}

bool PlannedGraph::take_first(std::string& why) {
    for (std::size_t i = 0; i < library_->candidates.size(); ++i) {
        if (library_->take(i, why)) return true;
    }
    return false;
}

void PlannedGraph::run(cudnnContext* handle, const Operands& operands, std::byte* workspace) {
    ensure(library_->taken >= 0, "a graph that is run has a plan");
    std::array<void*, 16> memory{};
    ensure(operands.size() <= memory.size(), "a graph has no more tensors than that");
    std::transform(operands.begin(), operands.end(), memory.begin(),
                   [](const std::byte* at) { return const_cast<std::byte*>(at); });
    auto error = library_->graph.execute_plan_at_index(
        handle, memory.data(), static_cast<int>(operands.size()), workspace, library_->taken);
    if (error.is_bad()) {
        throw DeviceError(fmt::format("cuDNN failed at {} with plan {}: {}", library_->spec.str(),
                                      library_->taken_name, reasons_in(error.get_message())));
    }
}

}  // namespace trireme::cudnn
