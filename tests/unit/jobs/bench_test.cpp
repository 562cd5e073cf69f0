// Turns and ratios of comparisons, with contenders whose times are known.
#include <gtest/gtest.h>

#include "jobs/bench/contender.hpp"
#include "jobs/bench/op_times.hpp"
#include "runtime/core/quantile.hpp"

namespace trireme::jobs {
namespace {

class Scripted final : public Contender {
  public:
    Scripted(std::string name, double seconds, std::string& log)
        : name_(std::move(name)), seconds_(seconds), log_(log) {}
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] Turn take_turn(std::int64_t steps) override {
        log_ += name_;
        Turn turn;
        for (std::int64_t s = 0; s < steps; ++s)
            turn.seconds.push_back(seconds_ * static_cast<double>(++taken_));
        turn.times.compute = static_cast<double>(steps);
        return turn;
    }
    [[nodiscard]] std::int64_t batch() const override { return static_cast<std::int64_t>(8 * seconds_); }
    [[nodiscard]] std::optional<Bytes> peak_memory() override {
        if (name_ == "c") return std::nullopt;
        return Bytes(seconds_ > 1 ? 4 * taken_ : taken_);
    }

  private:
    std::string name_;
    double seconds_;
    std::string& log_;
    std::int64_t taken_ = 0;
};

TEST(ContenderTest, EveryRoundBeginsWithAnotherAndRatiosAreTakenByTurn) {
    std::string log;
    std::vector<std::unique_ptr<Contender>> contenders;
    contenders.push_back(std::make_unique<Scripted>("a", 1.0, log));
    contenders.push_back(std::make_unique<Scripted>("b", 2.5, log));
    contenders.push_back(std::make_unique<Scripted>("c", 0.5, log));
    const auto records = alternate(contenders, 4, 3, [&] { log += '.'; });
    EXPECT_EQ(log, ".a.b.c.b.c.a.c.a.b.a.b.c");
    EXPECT_EQ(records[1].seconds.size(), 12u);
    EXPECT_EQ(records[1].turn_medians, (std::vector<double>{5.0, 12.5, 20.0, 27.5}));
    EXPECT_EQ(records[1].times.compute, 12);
    EXPECT_EQ(records[1].peak_memory, Bytes(48));
    EXPECT_EQ(records[1].batch, 20);
    EXPECT_DOUBLE_EQ(records[1].samples_per_second(), 20 / quantile(records[1].seconds, 0.5))
        << "by its own batch";
    // All grow slower from turn to turn by the same factor: by turn, b takes 2.5 times as long as a.
    const Ratio ratio = ratio_of(records[0], records[1]);
    EXPECT_EQ(ratio.to, "b");
    EXPECT_DOUBLE_EQ(ratio.median, 2.5);
    EXPECT_DOUBLE_EQ(ratio.p10, 2.5);
    EXPECT_EQ(ratio.memory, 0.25);
    EXPECT_FALSE(ratio_of(records[0], records[2]).memory) << "c shares its process";
    EXPECT_DOUBLE_EQ(ratio_of(records[0], records[2]).p90, 0.5);
}

TEST(ContenderTest, Quantiles) {
    EXPECT_EQ(quantile({}, 0.5), 0);
    EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
    EXPECT_EQ(quantile({3, 1, 2}, 0), 1);
    EXPECT_EQ(quantile({3, 1, 2}, 1), 3);
    EXPECT_EQ(quantile({5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10}, 0.1), 1);
}

TEST(OpTimesTest, SpansOfRecordedStepsAreAveraged) {
    using Clock = TraceSink::Clock;
    OpTimes times;
    const auto span = [&](Track track, const char* name, int milliseconds) {
        times.span(track, name, Clock::time_point{},
                   Clock::time_point{} + std::chrono::milliseconds(milliseconds), "");
    };
    span(Track::main, "forward fc1 mb0", 100);
    times.record(true);
    span(Track::main, "forward fc1 mb0", 10);
    span(Track::data, "decode", 1000);
    times.record(false);
    span(Track::main, "forward fc1 mb0", 100);
    times.record(true);
    span(Track::main, "forward fc1 mb0", 20);
    span(Track::main, "update", 4);
    EXPECT_EQ(times.steps(), 2);
    const auto seconds = times.seconds_a_step();
    ASSERT_EQ(seconds.size(), 2u);
    EXPECT_DOUBLE_EQ(seconds.at("forward fc1 mb0"), 0.015);
    EXPECT_DOUBLE_EQ(seconds.at("update"), 0.002);
}

TEST(OpTimesTest, TheRooflineIsTheSlowerOfBothLines) {
    const Roofline roofline{100e9, 10e9};
    OpRow row;
    row.seconds = 0.2;
    row.flops = 10e9;  // a tenth of a second at peak
    row.bytes = 0.5e9;
    EXPECT_DOUBLE_EQ(row.roofline_share(roofline), 0.5);
    row.bytes = 1.5e9;  // 0.15 s at the bandwidth
    EXPECT_DOUBLE_EQ(row.roofline_share(roofline), 0.75);
    row.seconds = 0;
    EXPECT_EQ(row.roofline_share(roofline), 0);
}

}  // namespace
}  // namespace trireme::jobs
