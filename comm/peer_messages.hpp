// Messages between ranks of one host that can read each other's memory: what travels is where a message lies,
// and the receiver copies it from there.
//
//     sender      where it lies --->            ...             ---> done: its memory may be written
//     receiver                  ---> copy ... | copied: answer ---> done
//
// The copies are the memory's own (MemoryOps), so they run beside the progress thread, one behind the other
// in the order in which receives were posted; a receive is done when its copy has been.
//
// A peer that has failed may still read what was sent to it: memory that is given to peers stays until they
// have closed it.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "comm/request_table.hpp"
#include "comm/transport.hpp"
#include "runtime/core/memory_ops.hpp"

namespace trireme::comm {

class PeerMessages final : public Messages {
  public:
    /// `carrier` takes the descriptions and answers. `memory` by rank, as LaneSetup has it; sends lie in my
    /// own.
    PeerMessages(Messages& carrier, MemoryOps& ops, int rank, std::vector<std::span<const std::byte>> memory);
    ~PeerMessages() override;

    [[nodiscard]] RequestId post_send(int peer, int tag, std::span<const std::byte> data) override;
    [[nodiscard]] RequestId post_recv(int peer, int tag, std::span<std::byte> data) override;
    [[nodiscard]] bool test(RequestId request) override;
    void cancel(RequestId request) override;

  private:
    static constexpr RequestId none = -1;
    /// A message as it is told.
    struct Description {
        std::int64_t offset = 0;  ///< bytes, in the sender's memory
        std::int64_t size = 0;
        std::int64_t number = 0;  ///< counts the sender's messages; comes back in the answer
    };
    struct Transfer {
        bool receive = false;
        int peer = -1;
        int tag = 0;
        Description description;
        RequestId told = none;      ///< the description's own request
        RequestId answered = none;  ///< of a send: the answer's
        std::int64_t answer = 0;
        std::span<std::byte> to;  ///< of a receive
        bool copying = false;
        MemoryOps::Mark copied = 0;
    };
    struct Answer {
        std::int64_t number;
        RequestId request;
    };

    [[nodiscard]] bool test_send(Transfer& send);
    void start_copies();
    void start_copy(Transfer& receive);
    void answer(const Transfer& receive);

    Messages& carrier_;
    MemoryOps& ops_;
    int rank_;
    std::vector<std::span<const std::byte>> memory_;
    RequestTable<Transfer> transfers_;
    std::vector<RequestId> awaited_;  ///< receives whose copy has not begun, in the order of posting
    std::list<Answer> answers_;       ///< on their way; stable addresses
    std::int64_t sent_ = 0;
};

}  // namespace trireme::comm
