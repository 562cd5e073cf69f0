// In which order the collectives of a rank move: the oldest few, and barriers whatever is under way.
#include "comm/collective_table.hpp"

#include <gtest/gtest.h>

#include "comm/inproc_transport.hpp"

namespace trireme::comm {
namespace {

TEST(CollectiveTableTest, ABarrierDoesNotStandBehindSums) {
    constexpr std::size_t sums = 2 * played_at_once;
    constexpr std::int64_t count = 10000;
    CommOptions options;
    options.segment_bytes = 256;  // many messages a sum
    auto transports = in_process_transports(2);
    std::vector<std::unique_ptr<CollectiveTable>> tables;
    std::vector<std::vector<std::string>> finished(2);
    std::vector<std::vector<float>> data(2 * sums, std::vector<float>(count, 1));
    for (int rank = 0; rank < 2; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        const auto note = [&finished, r](const CollectiveTable::Finished& f) {
            finished[r].push_back(f.ticket.what.label);
        };
        tables.push_back(
            std::make_unique<CollectiveTable>(*transports[r], Group::world(2, rank), options, note));
        for (std::size_t s = 0; s < sums; ++s) {
            Collective sum;
            sum.op = Op::all_reduce;
            sum.algorithm = Algorithm::ring;
            sum.dtype = DType::f32;
            sum.count = count;
            sum.data = reinterpret_cast<std::byte*>(data[r * sums + s].data());
            sum.label = "sum " + std::to_string(s);
            tables[r]->admit(std::make_shared<Ticket::State>(std::move(sum)));
        }
        Collective here;
        here.label = "here";
        tables[r]->admit(std::make_shared<Ticket::State>(std::move(here)));
    }
    while (!tables[0]->idle() || !tables[1]->idle()) {
        (void)tables[0]->advance();
        (void)tables[1]->advance();
    }
    for (const auto& order : finished) {
        ASSERT_EQ(order.size(), sums + 1);
        EXPECT_EQ(order.front(), "here");
        EXPECT_EQ(order.back(), "sum " + std::to_string(sums - 1)) << "sums go on in their order";
    }
    EXPECT_EQ(data.front().back(), 2);
    EXPECT_EQ(data.back().front(), 2);
    tables.clear();
    for (auto& transport : transports) transport->close();
}

}  // namespace
}  // namespace trireme::comm
