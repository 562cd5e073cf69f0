// What every world must do with the collectives, whether its ranks are threads or MPI processes. A body is
// run by all ranks with the same arguments; values are whole numbers, so that sums are exact in any order.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "comm/communicator.hpp"

namespace trireme::test {

inline float exact_input(int rank, std::size_t element) {
    return static_cast<float>((rank * 31 + static_cast<int>(element % 1000) * 7) % 509 - 254);
}

inline std::vector<float> inputs(int rank, std::size_t count) {
    std::vector<float> data(count);
    for (std::size_t e = 0; e < count; ++e) data[e] = exact_input(rank, e);
    return data;
}

inline std::vector<float> sums(int ranks, std::size_t count) {
    std::vector<float> total(count, 0.0F);
    for (int r = 0; r < ranks; ++r) {
        for (std::size_t e = 0; e < count; ++e) total[e] += exact_input(r, e);
    }
    return total;
}

inline void check_all_reduce(comm::Communicator& comm, const std::vector<std::size_t>& counts,
                             const Deadline& deadline) {
    for (const comm::Algorithm algorithm :
         {comm::Algorithm::ring, comm::Algorithm::halving_doubling, comm::Algorithm::automatic}) {
        for (const std::size_t count : counts) {
            std::vector<float> data = inputs(comm.rank(), count);
            comm.wait(comm.all_reduce(data, algorithm, "sum"), deadline);
            EXPECT_EQ(data, sums(comm.size(), count)) << comm::name_of(algorithm) << " " << count;
        }
    }
}

/// `buckets` sums at once, of 50 elements and `growth` more each; waited for in the opposite order.
inline void check_many_in_flight(comm::Communicator& comm, std::size_t buckets, std::size_t growth,
                                 const Deadline& deadline) {
    std::vector<std::vector<float>> data;
    std::vector<comm::Ticket> tickets;
    for (std::size_t b = 0; b < buckets; ++b) data.push_back(inputs(comm.rank(), 50 + growth * b));
    for (std::size_t b = 0; b < buckets; ++b) {
        const comm::Algorithm algorithm =
            b % 2 == 0 ? comm::Algorithm::ring : comm::Algorithm::halving_doubling;
        tickets.push_back(comm.all_reduce(data[b], algorithm, "bucket"));
    }
    comm.barrier("between", deadline);
    for (std::size_t b = buckets; b-- > 0;) {
        comm.wait(tickets[b], deadline);
        EXPECT_TRUE(tickets[b].done());
        EXPECT_EQ(data[b], sums(comm.size(), data[b].size()));
    }
}

inline void check_broadcast(comm::Communicator& comm, std::size_t count, const Deadline& deadline) {
    for (int root = 0; root < comm.size(); ++root) {
        std::vector<float> data = inputs(comm.rank(), count);
        comm.broadcast(std::as_writable_bytes(std::span(data)), root, "parameters", deadline);
        EXPECT_EQ(data, inputs(root, count));
    }
}

inline void check_all_gather(comm::Communicator& comm, const std::function<std::string(int)>& text_of,
                             const Deadline& deadline) {
    const std::vector<std::string> all = comm.all_gather(text_of(comm.rank()), "traces", deadline);
    ASSERT_EQ(all.size(), static_cast<std::size_t>(comm.size()));
    for (int r = 0; r < comm.size(); ++r) EXPECT_EQ(all[static_cast<std::size_t>(r)], text_of(r));
}

}  // namespace trireme::test
