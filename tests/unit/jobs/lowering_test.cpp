// What presets become on this machine's CPU back end: no node falls back to the reference, in either
// precision; the first layer has no input gradient; the arena is near its lower bound.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "jobs/models/model_spec.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/plan/parallel_plan.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t batch = 8;

class Lowering : public testing::TestWithParam<std::tuple<std::string, bool>> {
  protected:
    Lowering() : graph_(rewritten()) {}

    static layers::ModelGraph rewritten() {
        ModelSpec spec;
        spec.name = std::get<0>(GetParam());
        spec.hidden = {256, 128};
        layers::ModelGraph graph = layers::fuse(build_model(spec)).graph;
        return std::get<1>(GetParam()) ? layers::store_as_bf16(graph).graph : graph;
    }
    [[nodiscard]] Program program() const {
        return ParallelPlan(selection_, {.data = 1, .batch = batch}, 1, std::nullopt)
            .program(0, StepKind::full);
    }

    Backend backend_ = make_backend("cpu", 1);
    layers::ModelGraph graph_;
    Selection selection_{graph_, backend_.providers, SelectionOptions{}};
};

TEST_P(Lowering, NoNodeFallsBackToTheReference) {
    if (const std::string caveat = bf16_caveat(*backend_.device); std::get<1>(GetParam()) && !caveat.empty())
        GTEST_SKIP() << caveat;
    for (const bool training : {true, false}) {
        for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
            if (layers::is_view(graph_.nodes()[n].op)) continue;
            const auto node = static_cast<layers::NodeId>(n);
            EXPECT_NE(selection_.provider(node, batch, training), "reference")
                << graph_.nodes()[n].name << ": "
                << (selection_.refusals(node, batch, training).empty()
                        ? ""
                        : selection_.refusals(node, batch, training).front());
        }
    }
}

TEST_P(Lowering, SamplesHaveNoGradient) {
    for (const Instruction& instruction : program().instructions) {
        if (const auto* backward = std::get_if<BackwardInput>(&instruction.action)) {
            const layers::Node& node = graph_.node(backward->node);
            EXPECT_NE(node.inputs.front(), graph_.input()) << str(instruction, graph_);
        }
    }
}

TEST_P(Lowering, ArenaIsNearItsLowerBound) {
    const MemoryPlan plan = plan_memory(program(), selection_);
    EXPECT_LE(static_cast<double>(plan.size.value), 1.03 * static_cast<double>(plan.lower_bound.value))
        << plan.size.value << " bytes, the bound is " << plan.lower_bound.value;
}

INSTANTIATE_TEST_SUITE_P(Presets, Lowering,
                         testing::Combine(testing::ValuesIn(preset_names()), testing::Bool()),
                         [](const auto& param_info) {
                             std::string name = std::get<0>(param_info.param);
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name + (std::get<1>(param_info.param) ? "_bf16" : "_fp32");
                         });

}  // namespace
}  // namespace trireme::jobs
