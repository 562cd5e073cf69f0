#include "jobs/bench/op_times.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace trireme::jobs {
namespace {

using layers::ModelGraph;
using layers::Node;
using layers::TensorId;

double bytes_of_tensor(const ModelGraph& graph, TensorId id) {
    const layers::TensorSpec& spec = graph.tensor(id);
    return static_cast<double>(bytes_of(spec.shape.elements(), spec.dtype).value);
}

layers::Cost cost_of_node(const ModelGraph& graph, const Node& node) {
    std::vector<Shape> inputs;
    for (const TensorId input : node.inputs) inputs.push_back(graph.tensor(input).shape);
    return layers::cost_of(node.op, inputs, graph.tensor(node.output).shape);
}

/// Adds the work of one launch of the row's pass on `samples`. Other passes (packing, adding) have none that
/// the graph knows of.
void add_work(OpRow& row, const ModelGraph& graph, const Node& node, double samples) {
    const layers::Cost cost = cost_of_node(graph, node);
    double inputs = 0;
    for (const TensorId input : node.inputs) inputs += bytes_of_tensor(graph, input) * samples;
    const double output = bytes_of_tensor(graph, node.output) * samples;
    const auto elements = static_cast<double>(graph.tensor(node.output).shape.elements().value);
    if (row.pass == "forward" || row.pass == "recompute") {
        row.flops += cost.forward_flops * samples;
        row.bytes += inputs + output + cost.weight_bytes;
    } else if (row.pass == "backward-input") {
        row.flops += cost.backward_input_flops * samples;
        row.bytes += inputs + output + cost.weight_bytes;
    } else if (row.pass == "backward-weight") {
        row.flops += cost.backward_weight_flops * samples;
        row.bytes += inputs + output + cost.weight_bytes;
    } else if (row.pass == "backward-activation") {
        row.flops += elements * samples;
        row.bytes += 3 * output;  // the output and its gradient are read, the gradient is written
    }
}

/// The node of an action, or null; its micro-batch comes with it.
struct Place {
    const Node* node = nullptr;
    layers::NodeId id = -1;
    std::int64_t samples = 0;
};

Place place_of(const Action& action, const Program& program, const ModelGraph& graph) {
    return std::visit(
        [&](const auto& a) -> Place {
            if constexpr (requires {
                              a.node;
                              a.microbatch;
                          }) {
                const auto mb = static_cast<std::size_t>(a.microbatch.value);
                return {&graph.node(a.node), a.node, program.microbatches[mb]};
            } else {
                return {};
            }
        },
        action);
}

/// A row of the table: what stands in its first three columns is its key.
OpRow& row_at(std::vector<OpRow>& rows, OpRow wanted) {
    const auto same = [&](const OpRow& row) { return row.node == wanted.node && row.pass == wanted.pass; };
    const auto found = std::ranges::find_if(rows, same);
    if (found != rows.end()) return *found;
    rows.push_back(std::move(wanted));
    return rows.back();
}

std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

}  // namespace

void OpTimes::record(bool on) {
    const std::lock_guard lock(mutex_);
    if (on) ++steps_;
    recording_ = on;
}

void OpTimes::span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
                   std::string_view) {
    if (track != Track::main) return;
    const std::lock_guard lock(mutex_);
    if (!recording_) return;
    add(name, std::chrono::duration<double>(end - begin).count());
}

void OpTimes::add_step(const std::vector<LaunchTime>& launches) {
    const std::lock_guard lock(mutex_);
    ++steps_;
    for (const LaunchTime& launch : launches) add(launch.what, launch.seconds);
}

void OpTimes::add(std::string_view name, double seconds) {
    const auto found = seconds_.find(name);
    if (found == seconds_.end()) {
        seconds_.emplace(name, seconds);
    } else {
        found->second += seconds;
    }
}

std::int64_t OpTimes::steps() const {
    const std::lock_guard lock(mutex_);
    return steps_;
}

std::map<std::string, double> OpTimes::seconds_a_step() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, double> seconds;
    for (const auto& [name, sum] : seconds_)
        seconds[name] = sum / static_cast<double>(std::max<std::int64_t>(steps_, 1));
    return seconds;
}

double OpRow::roofline_share(const Roofline& roofline) const {
    if (seconds <= 0) return 0;
    return std::max(flops / roofline.flops_per_s, bytes / roofline.bytes_per_s) / seconds;
}

std::vector<OpRow> op_rows(const PlannedJob& job, int rank, const OpTimes& times) {
    const ModelGraph& graph = job.graph();
    const ParallelPlan& plan = job.plan();
    const bool only_short = plan.shards().step_samples(0) < plan.shards().batch();
    const Program program = plan.program(rank, only_short ? StepKind::short_last : StepKind::full);
    std::map<std::string, double> seconds = times.seconds_a_step();
    std::vector<OpRow> rows;
    for (const Instruction& instruction : program.instructions) {
        if (std::holds_alternative<OptimizerStep>(instruction.action)) {
            seconds.erase(str(instruction.action, graph));  // its parts have spans of their own
            continue;
        }
        const std::string text = str(instruction.action, graph);
        const Place place = place_of(instruction.action, program, graph);
        OpRow key;
        key.pass = first_word(text);
        if (place.node != nullptr) {
            key.node = place.node->name;
            key.op = layers::name_of(place.node->op);
            key.kernel = job.selection().provider(place.id, place.samples, true);
        }
        OpRow& row = row_at(rows, std::move(key));
        if (place.node != nullptr) add_work(row, graph, *place.node, static_cast<double>(place.samples));
        const auto measured = seconds.find(text);
        if (measured == seconds.end()) continue;
        row.seconds += measured->second;
        seconds.erase(measured);
    }
    for (const auto& [name, spent] : seconds) {
        OpRow rest;
        rest.pass = name;
        rest.seconds = spent;
        rows.push_back(std::move(rest));
    }
    std::ranges::stable_sort(rows, std::ranges::greater(), &OpRow::seconds);
    return rows;
}

std::string op_table(const std::vector<OpRow>& rows, const Roofline& roofline) {
    std::string text =
        fmt::format("roofline: {:.1f} GFLOP/s in a large product, {:.1f} GB/s in a large copy\n",
                    roofline.flops_per_s * 1e-9, roofline.bytes_per_s * 1e-9);
    text += fmt::format("{:<28} {:<22} {:<20} {:<10} {:>9} {:>6} {:>9} {:>9} {:>8} {:>9}\n", "node", "op",
                        "pass", "kernel", "ms", "step", "GFLOP/s", "MB", "GB/s", "roofline");
    double whole = 0;
    for (const OpRow& row : rows) whole += row.seconds;
    for (const OpRow& row : rows) {
        const double share = row.roofline_share(roofline);
        text += fmt::format("{:<28} {:<22} {:<20} {:<10} {:>9.3f} {:>5.1f}% ", row.node, row.op, row.pass,
                            row.kernel, row.seconds * 1e3, whole > 0 ? 100 * row.seconds / whole : 0.0);
        if (share > 0) {
            text += fmt::format("{:>9.1f} {:>9.2f} {:>8.1f} {:>8.0f}%\n", row.flops / row.seconds * 1e-9,
                                row.bytes * 1e-6, row.bytes / row.seconds * 1e-9, 100 * share);
        } else {
            text += fmt::format("{:>9} {:>9} {:>8} {:>9}\n", "-", "-", "-", "-");
        }
    }
    return text + fmt::format("{:<28} {:<22} {:<20} {:<10} {:>9.3f}\n", "all", "", "", "", whole * 1e3);
}

}  // namespace trireme::jobs
