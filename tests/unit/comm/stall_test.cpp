// Verdicts from reports, and the messages that carry them.
#include "comm/stall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/control.hpp"
#include "comm/transport.hpp"

namespace trireme::comm {
namespace {

using ::testing::HasSubstr;

RankReport waiting(std::uint64_t sequence, std::vector<int> peers) {
    RankReport r;
    r.answered = true;
    r.host = "n1";
    r.phase = "step";
    r.instruction = "WaitBucket 3";
    r.entered = sequence + 1;
    r.waiting = true;
    r.sequence = sequence;
    r.collective = "'bucket 3'";
    r.waits_for = std::move(peers);
    r.asked = "all_reduce #7 of 100 f32 by ring";
    return r;
}

RankReport elsewhere(std::uint64_t entered) {
    RankReport r;
    r.answered = true;
    r.host = "n2";
    r.phase = "data";
    r.instruction = "LoadMicrobatch 0";
    r.entered = entered;
    return r;
}

const StallQuestion question{0, 7, 4.0};

TEST(Judge, NamesTheSilentRankAndNotTheVictims) {
    // 0 waits for 3, 3 for 2, 2 for 1, which does not answer.
    const std::vector<RankReport> reports{waiting(7, {3}), RankReport{}, waiting(7, {1}), waiting(7, {2})};
    const Verdict v = judge(question, reports, reports);
    EXPECT_EQ(v.kind, "DEAD");
    EXPECT_EQ(v.rank, 1);
    EXPECT_EQ(v.error_class, ErrorClass::comm_timeout);
    EXPECT_THAT(v.reason, HasSubstr("rank 1 does not answer"));
    EXPECT_THAT(v.reason, HasSubstr("rank 2 wait"));
}

TEST(Judge, NamesTheMissingRankWithWhatItDoes) {
    const std::vector<RankReport> reports{waiting(7, {2}), elsewhere(7), waiting(7, {1})};
    const Verdict v = judge(question, reports, reports);
    EXPECT_EQ(v.kind, "MISSING");
    EXPECT_EQ(v.rank, 1);
    EXPECT_EQ(v.phase, "data");
    EXPECT_EQ(v.instruction, "LoadMicrobatch 0");
    EXPECT_EQ(v.host, "n2");
}

TEST(Judge, ARankThatMovesIsSlow) {
    const std::vector<RankReport> first{waiting(7, {1}), elsewhere(7)};
    std::vector<RankReport> second = first;
    second[1].changes = 3;
    EXPECT_EQ(judge(question, first, second).kind, "SLOW");
    EXPECT_EQ(judge(question, first, second).rank, 1);
}

TEST(Judge, FollowsAnEarlierCollectiveToTheCulprit) {
    // Rank 1 has not called #7 because #5 holds it up, and there rank 2 is missing.
    std::vector<RankReport> reports{waiting(7, {1}), waiting(5, {2}), elsewhere(5)};
    reports[1].asked.clear();
    const Verdict v = judge(question, reports, reports);
    EXPECT_EQ(v.kind, "MISSING");
    EXPECT_EQ(v.rank, 2);
}

TEST(Judge, ARankThatHasFinishedItsPartIsNotBlamed) {
    // Rank 1 did its part of #7 and went on; rank 2 has not come.
    std::vector<RankReport> reports{waiting(7, {1, 2}), elsewhere(8), elsewhere(7)};
    EXPECT_EQ(judge(question, reports, reports).rank, 2);
}

TEST(Judge, MismatchNamesTheSmallerSideAndPrintsBoth) {
    std::vector<RankReport> reports{waiting(7, {2}), waiting(7, {0}), waiting(7, {1})};
    reports[1].asked = "all_reduce #7 of 96 f32 by ring";
    EXPECT_TRUE(shows_mismatch(reports));
    const Verdict v = judge(question, reports, reports);
    EXPECT_EQ(v.kind, "MISMATCH");
    EXPECT_EQ(v.rank, 1);
    EXPECT_THAT(v.reason, HasSubstr("ranks 0, 2 called all_reduce #7 of 100 f32 by ring"));
    EXPECT_THAT(v.reason, HasSubstr("rank 1 called all_reduce #7 of 96 f32 by ring"));
}

TEST(Judge, AmongWaitingRanksTheLeastAdvancedIsSlow) {
    std::vector<RankReport> reports{waiting(7, {1}), waiting(7, {2}), waiting(7, {0})};
    reports[0].steps = 5;
    reports[1].steps = 9;
    reports[2].steps = 2;
    const Verdict v = judge(question, reports, reports);
    EXPECT_EQ(v.kind, "SLOW");
    EXPECT_EQ(v.rank, 2);
}

TEST(ControlText, RoundTrips) {
    Control control;
    control.kind = ControlKind::report;
    control.number = 7;
    control.round = 2;
    control.report = waiting(7, {1, 4});
    const auto back = decode(encode(control));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->kind, ControlKind::report);
    EXPECT_EQ(back->report.waits_for, (std::vector<int>{1, 4}));
    EXPECT_EQ(back->report.asked, control.report.asked);

    control.kind = ControlKind::settled;
    control.verdict = {ErrorClass::data, "ERROR", 3, "n2", "data", "Load", "shard-03.h5: checksum"};
    EXPECT_EQ(decode(encode(control))->verdict.str(), "rank 3 (host n2): DataError: shard-03.h5: checksum");
}

TEST(ControlText, IsAlwaysShortEnough) {
    for (const char filler : {'x', '"', '\n', '\x01', '\xff'}) {
        Control control;
        control.verdict.reason = std::string(100000, filler);
        control.verdict.instruction = std::string(100000, filler);
        control.report = waiting(7, std::vector<int>(5000, 123456));
        control.report.phase = control.report.instruction = control.report.asked = control.verdict.reason;
        for (const ControlKind kind : {ControlKind::announce, ControlKind::report}) {
            control.kind = kind;
            const std::string text = encode(control);
            EXPECT_LE(text.size(), max_control_bytes) << static_cast<int>(filler);
            EXPECT_TRUE(decode(text));
        }
    }
}

TEST(ControlText, RefusesWhatIsNoMessage) {
    for (const char* text :
         {"", "{", "[]", "{\"kind\":9,\"number\":1,\"round\":1}", "{\"kind\":\"x\"}", "\xff\xfe"}) {
        EXPECT_FALSE(decode(text)) << text;
    }
}

}  // namespace
}  // namespace trireme::comm
