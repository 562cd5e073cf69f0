// What the telemetry makes of measured times: who was waited for, and traces on one common clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/telemetry/rank_split.hpp"
#include "runtime/telemetry/trace_writer.hpp"

namespace trireme {
namespace {

using ::testing::HasSubstr;

/// Ten steps of a rank: seconds of each column over all of them.
RankSplit split_of(int rank, const StepTimes& times) {
    RankSplit split;
    split.rank = rank;
    split.host = "n" + std::to_string(rank);
    split.steps = 10;
    split.times = times;
    split.wall = times.accounted();
    return split;
}

TEST(RankSplitTest, TheRankThatTheOthersWaitedForIsNamedWithItsColumn) {
    const std::vector<RankSplit> ranks{
        split_of(0, {.data_wait = 0.01, .compute = 1, .straggler_wait = 0.5}),
        split_of(1, {.data_wait = 0.51, .compute = 1, .straggler_wait = 0.01}),
        split_of(2, {.data_wait = 0.01, .compute = 1.1, .straggler_wait = 0.4})};
    const auto found = straggler_of(ranks);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rank, 1);
    EXPECT_EQ(found->host, "n1");
    EXPECT_EQ(found->longer_in, "data_wait");
    EXPECT_NEAR(found->wait, 0.045, 1e-12);
    EXPECT_NEAR(found->longer_by, 0.05, 1e-12);
    EXPECT_THAT(found->str(),
                HasSubstr("waited 45.00 ms a step for rank 1 (host n1), which took 50.00 ms longer in "
                          "data_wait"));
}

TEST(RankSplitTest, NobodyIsNamedWhereRanksWaitInTurnOrHardly) {
    EXPECT_FALSE(straggler_of({split_of(0, {.compute = 1, .straggler_wait = 0.3})}));
    EXPECT_FALSE(straggler_of({split_of(0, {.compute = 1, .straggler_wait = 0.3}),
                               split_of(1, {.compute = 1, .straggler_wait = 0.2})}));
    EXPECT_FALSE(
        straggler_of({split_of(0, {.compute = 1, .straggler_wait = 0.019}), split_of(1, {.compute = 1})}));
    EXPECT_TRUE(
        straggler_of({split_of(0, {.compute = 1, .straggler_wait = 0.03}), split_of(1, {.compute = 1})}));
}

TEST(RankSplitTest, NobodyIsNamedWhereNothingWasTrained) {
    RankSplit first = split_of(0, {});
    RankSplit second = split_of(1, {});
    EXPECT_FALSE(straggler_of({first, second}));
    first.steps = second.steps = 0;
    EXPECT_FALSE(straggler_of({first, second}));
}

TEST(RankSplitTest, ColumnsAddUpAndTheRestIsSaid) {
    RankSplit split = split_of(3, {.data_wait = 1,
                                   .compute = 2,
                                   .exposed_comm = 4,
                                   .straggler_wait = 8,
                                   .checkpoint = 16,
                                   .total = 15});
    EXPECT_EQ(split.times.accounted(), 31);
    double sum = 0;
    for (const auto& [name, seconds] : split.times.columns()) sum += seconds;
    EXPECT_EQ(sum, 31);
    split.wall = 31.5;
    EXPECT_EQ(split.unaccounted(), 0.5);
    const RankSplit again = RankSplit::parse(split.text());
    EXPECT_EQ(again.text(), split.text());
    EXPECT_EQ(again.times.columns(), split.times.columns());
}

TEST(TraceWriterTest, SpansOfOneMomentStandBelowEachOtherWhateverTheClocksSay) {
    // Rank 1's clock is 1000 s ahead. Both saw the same moment as zero, and both work from 2 ms to 5 ms
    // after.
    using Clock = TraceSink::Clock;
    const Clock::time_point zero(std::chrono::seconds(50));
    std::vector<std::string> events;
    for (int rank : {0, 1}) {
        const Clock::time_point mine = zero + std::chrono::seconds(1000) * rank;
        TraceWriter writer(rank);
        writer.set_zero(mine, std::chrono::microseconds(12) * rank);
        writer.span(Track::main, "left out", mine, mine, "");
        writer.record(true);
        writer.span(Track::main, "work", mine + std::chrono::milliseconds(2),
                    mine + std::chrono::milliseconds(5), "\"quoted\"");
        events.push_back(writer.events());
    }
    const auto trace = nlohmann::json::parse(TraceWriter::document(events)).at("traceEvents");
    std::vector<nlohmann::json> spans;
    std::vector<std::string> labels;
    for (const nlohmann::json& event : trace) {
        if (event.at("ph") == "X") spans.push_back(event);
        if (event.at("name") == "process_labels") labels.push_back(event.at("args").at("labels"));
    }
    ASSERT_EQ(spans.size(), 2u);
    for (std::size_t rank = 0; rank < 2; ++rank) {
        EXPECT_EQ(spans[rank].at("pid"), rank);
        EXPECT_EQ(spans[rank].at("ts"), 2000.0);
        EXPECT_EQ(spans[rank].at("dur"), 3000.0);
        EXPECT_EQ(spans[rank].at("args").at("detail"), "\"quoted\"");
    }
    EXPECT_EQ(labels, (std::vector<std::string>{"clock within 0 us", "clock within 12 us"}));
}

}  // namespace
}  // namespace trireme
