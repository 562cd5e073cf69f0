#include "runtime/exec/instruction.hpp"

#include <fmt/format.h>

namespace trireme {
namespace {

struct Printer {
    const layers::ModelGraph& graph;

    [[nodiscard]] std::string line(std::string_view verb, layers::NodeId node, Microbatch mb,
                                   std::string_view more = "") const {
        return fmt::format("{} {} mb{}{}", verb, graph.node(node).name, mb.value, more);
    }
    [[nodiscard]] static std::string slot_text(int slot) {
        return slot == 0 ? "" : fmt::format(" slot {}", slot);
    }
    std::string operator()(const LoadMicrobatch& a) const {
        return fmt::format("load mb{}", a.microbatch.value);
    }
    std::string operator()(const PackWeights& a) const {
        return line("pack-weights", a.node, a.microbatch, a.for_backward ? " backward" : "");
    }
    std::string operator()(const Forward& a) const {
        return line("forward", a.node, a.microbatch, a.apart ? " apart" : "");
    }
    std::string operator()(const Recompute& a) const { return line("recompute", a.node, a.microbatch); }
    std::string operator()(const AddStatistics& a) const {
        return line("add-statistics", a.node, a.microbatch);
    }
    std::string operator()(const RecordLoss& a) const {
        return fmt::format("record-loss mb{}", a.microbatch.value) + slot_text(a.slot);
    }
    std::string operator()(const BackwardActivation& a) const {
        return line("backward-activation", a.node, a.microbatch);
    }
    std::string operator()(const BackwardWeight& a) const {
        return line("backward-weight", a.node, a.microbatch, a.apart ? " apart" : "") + slot_text(a.slot);
    }
    std::string operator()(const AddWeightGradient& a) const {
        return line("add-weight-gradient", a.node, a.microbatch) + slot_text(a.slot);
    }
    std::string operator()(const BackwardInput& a) const {
        return line("backward-input", a.node, a.microbatch, a.apart != 0 ? " apart" : "");
    }
    std::string operator()(const AddInputGradient& a) const {
        return line("add-input-gradient", a.node, a.microbatch,
                    a.input == 0 ? "" : fmt::format(" input {}", a.input));
    }
    std::string operator()(const CombineSlots& a) const {
        return fmt::format("combine bucket {} slot {} += slot {}", a.bucket, a.to, a.from);
    }
    std::string operator()(const ClearGradients&) const { return "clear-gradients"; }
    std::string operator()(const ReduceBucket& a) const { return fmt::format("reduce-bucket {}", a.bucket); }
    std::string operator()(const OptimizerStep&) const { return "optimizer-step"; }
};

std::string list_of(const std::vector<Token>& tokens) {
    std::string text;
    for (const Token& token : tokens) text += (text.empty() ? "" : ", ") + token.str();
    return text;
}

}  // namespace

std::string Token::str() const {
    switch (kind) {
        case Kind::samples:
            return fmt::format("samples mb{}", index);
        case Kind::gradients:
            return fmt::format("gradients {}", index);
        case Kind::sum:
            return fmt::format("sum {}", index);
    }
    return "?";
}

std::string str(const Action& action, const layers::ModelGraph& graph) {
    return std::visit(Printer{graph}, action);
}

std::string str(const Instruction& instruction, const layers::ModelGraph& graph) {
    std::string text = fmt::format("{:<36}", str(instruction.action, graph));
    if (!instruction.waits.empty()) text += fmt::format(" waits [{}]", list_of(instruction.waits));
    if (!instruction.signals.empty()) text += fmt::format(" signals [{}]", list_of(instruction.signals));
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

}  // namespace trireme
