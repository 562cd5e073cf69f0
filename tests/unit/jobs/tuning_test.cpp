// Where a library has several plans for a node, rank 0 measures and all ranks follow: one choice a job.
#include <filesystem>
#include <fstream>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/agreement.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"
#include "tests/multirank/ranks.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Kernels of the reference under the name of a plan.
class NamedKernels final : public NodeKernels {
  public:
    NamedKernels(std::unique_ptr<NodeKernels> kernels, std::string plan)
        : kernels_(std::move(kernels)), plan_(std::move(plan)) {}
    [[nodiscard]] KernelNeeds needs() const override { return kernels_->needs(); }
    [[nodiscard]] std::string describe() const override { return plan_; }
    void forward(Stream& s, const KernelBuffers& b) override { kernels_->forward(s, b); }
    void backward_activation(Stream& s, const KernelBuffers& b) override {
        kernels_->backward_activation(s, b);
    }
    void backward_weight(Stream& s, const KernelBuffers& b) override { kernels_->backward_weight(s, b); }
    void backward_input(Stream& s, const KernelBuffers& b) override { kernels_->backward_input(s, b); }

  private:
    std::unique_ptr<NodeKernels> kernels_;
    std::string plan_;
};

/// Finds another plan on each rank that it measures on.
class ChoosingProvider final : public KernelProvider {
  public:
    ChoosingProvider(int rank, bool chooses) : rank_(rank), chooses_(chooses) {}
    [[nodiscard]] std::string_view name() const override { return "choosing"; }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override {
        return {std::make_unique<NamedKernels>(reference_.offer(request).kernels, plan_), {}};
    }
    [[nodiscard]] bool chooses_plans() const override { return chooses_; }
    [[nodiscard]] std::string measure_plans() override { return "measured by rank " + std::to_string(rank_); }
    void adopt_plans(std::string_view text) override { plan_ = text; }

  private:
    ReferenceProvider reference_;
    int rank_;
    bool chooses_;
    std::string plan_ = "first choice";
};

/// The plan's text on each rank once all agree.
std::vector<std::string> agreed_plans(int ranks, bool chooses) {
    const auto file = std::filesystem::path(testing::TempDir()) / "tuning_test.cfg";
    std::ofstream(file) << "[model]\nname = lenet\n[data]\nbatch = 8\n[job]\ndevice = reference\n";
    const JobSpec spec = load_job(file, {});
    std::filesystem::remove(file);
    std::vector<std::string> texts(static_cast<std::size_t>(ranks));
    comm::World world = comm::in_process_world(ranks, comm::quick_options());
    for (const comm::Ending& ending : comm::run_ranks(world, [&](comm::Communicator& comm) {
             Backend backend = make_backend("reference", 1);
             backend.providers.clear();
             backend.providers.push_back(std::make_unique<ChoosingProvider>(comm.rank(), chooses));
             PlannedJob job(spec, ranks, 1, DataUse::if_there, std::move(backend));
             EXPECT_THAT(job.plan_text(), HasSubstr("choosing (first choice)"));
             agree(job, comm);
             texts[static_cast<std::size_t>(comm.rank())] = job.plan_text();
             comm.finish(comm::late());
         })) {
        EXPECT_EQ(ending.other_error, "");
        EXPECT_FALSE(ending.verdict);
    }
    return texts;
}

TEST(Tuning, RankZerosMeasurementsAreEverybodys) {
    for (const std::string& text : agreed_plans(3, true)) {
        EXPECT_THAT(text, HasSubstr("choosing (measured by rank 0)"));
        EXPECT_THAT(text, Not(HasSubstr("first choice")));
    }
}

TEST(Tuning, ProvidersWithoutAChoiceKeepTheirs) {
    for (const std::string& text : agreed_plans(2, false))
        EXPECT_THAT(text, HasSubstr("choosing (first choice)"));
}

}  // namespace
}  // namespace trireme::jobs
