#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/plan/parallel_plan.hpp"

namespace trireme {
namespace {

[[noreturn]] void refuse(const std::string& what) {
    throw InternalError("the plan does not verify: " + what);
}

/// Inside one program: what is waited for has been signalled, and a bucket's sum starts after its last
/// gradient.
void verify_alone(const Program& program, int rank, const ParallelPlan& plan) {
    const layers::ModelGraph& graph = plan.selection().graph();
    std::vector<Token> signalled;
    const auto line = [&](std::size_t at) {
        return fmt::format("rank {} #{}: {}", rank, at, str(program.instructions[at], graph));
    };
    std::vector<std::optional<std::size_t>> summed(plan.buckets().buckets().size());
    for (std::size_t at = 0; at < program.instructions.size(); ++at) {
        const Instruction& instruction = program.instructions[at];
        for (const Token& token : instruction.waits) {
            if (std::find(signalled.begin(), signalled.end(), token) == signalled.end()) {
                refuse(
                    fmt::format("{} waits for [{}], which nothing before it signals", line(at), token.str()));
            }
        }
        signalled.insert(signalled.end(), instruction.signals.begin(), instruction.signals.end());
        if (const auto* reduce = std::get_if<ReduceBucket>(&instruction.action)) {
            auto& first = summed.at(static_cast<std::size_t>(reduce->bucket));
            if (first) refuse(fmt::format("a bucket is summed twice: {} and {}", line(*first), line(at)));
            first = at;
        }
        const auto writes_after_sum = [&](layers::NodeId node) {
            for (layers::ParamId p : graph.node(node).params) {
                const auto& sum = summed.at(static_cast<std::size_t>(plan.buckets().place(p).bucket));
                if (sum)
                    refuse(
                        fmt::format("{} writes a gradient that {} has sent already", line(at), line(*sum)));
            }
        };
        if (const auto* weight = std::get_if<BackwardWeight>(&instruction.action))
            writes_after_sum(weight->node);
        if (const auto* add = std::get_if<AddWeightGradient>(&instruction.action))
            writes_after_sum(add->node);
        if (std::holds_alternative<OptimizerStep>(instruction.action)) {
            for (std::size_t b = 0; b < summed.size(); ++b) {
                const Token sum{Token::Kind::sum, static_cast<int>(b)};
                const auto& waits = instruction.waits;
                if (!summed[b] || std::find(waits.begin(), waits.end(), sum) == waits.end()) {
                    refuse(fmt::format("{} does not wait for the sum of bucket {}", line(at), b));
                }
            }
        }
    }
}

std::vector<std::size_t> collectives_of(const Program& program) {
    std::vector<std::size_t> at;
    for (std::size_t i = 0; i < program.instructions.size(); ++i) {
        if (std::holds_alternative<ReduceBucket>(program.instructions[i].action)) at.push_back(i);
    }
    return at;
}

}  // namespace

void verify_programs(const std::vector<Program>& programs, const ParallelPlan& plan) {
    const layers::ModelGraph& graph = plan.selection().graph();
    const std::vector<std::size_t> first = collectives_of(programs.front());
    for (std::size_t r = 0; r < programs.size(); ++r) {
        verify_alone(programs[r], static_cast<int>(r), plan);
        const std::vector<std::size_t> mine = collectives_of(programs[r]);
        for (std::size_t i = 0; i < std::max(first.size(), mine.size()); ++i) {
            const auto text = [&](const Program& p, const std::vector<std::size_t>& at) {
                return i < at.size() ? str(p.instructions[at[i]].action, graph) : std::string("nothing");
            };
            if (text(programs.front(), first) != text(programs[r], mine)) {
                refuse(fmt::format("collective {} is \"{}\" on rank 0 and \"{}\" on rank {}", i,
                                   text(programs.front(), first), text(programs[r], mine), r));
            }
        }
    }
}

void verify(const ParallelPlan& plan) {
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {
        if (kind == StepKind::short_last && !plan.has_short_step()) continue;
        std::vector<Program> programs;
        for (int rank = 0; rank < plan.world(); ++rank) programs.push_back(plan.program(rank, kind));
        verify_programs(programs, plan);
    }
}

}  // namespace trireme
