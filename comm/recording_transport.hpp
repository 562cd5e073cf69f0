// A transport that writes down what is sent, for tests of message counts and bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "comm/transport.hpp"

namespace trireme::comm {

struct SentMessage {
    int from = 0;
    int to = 0;
    int tag = 0;
    std::int64_t bytes = 0;
};

/// What the ranks of a world sent; shared by their transports.
class MessageRecord {
  public:
    void add(const SentMessage& message) {
        const std::lock_guard lock(mutex_);
        messages_.push_back(message);
    }
    [[nodiscard]] std::vector<SentMessage> messages() const {
        const std::lock_guard lock(mutex_);
        return messages_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<SentMessage> messages_;
};

[[nodiscard]] std::unique_ptr<Transport> recording_transport(std::unique_ptr<Transport> inner,
                                                             std::shared_ptr<MessageRecord> record);

}  // namespace trireme::comm
