// Ranks whose asynchronous devices share one schedule, and the transports between them: a message carries
// what its sender knew to have finished, as it does between real ranks, and a message that lies in memory of
// a device is an access of that memory.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/transport.hpp"
#include "tests/async/async_device.hpp"

namespace trireme::async {

/// What was known when each message was sent, by (from, to, tag) and then in the order of sending.
struct ToldClocks {
    using Channel = std::tuple<int, int, int>;
    std::mutex mutex;
    std::map<Channel, std::vector<Clock>> sent;
};

class ClockedTransport final : public comm::Transport {
  public:
    /// `carries`: it says of itself that messages may lie in memory of a device.
    ClockedTransport(std::unique_ptr<comm::Transport> inner, std::shared_ptr<Schedule> schedule,
                     std::shared_ptr<ToldClocks> told, bool carries);

    void open() override;
    void close() override { inner_->close(); }
    [[nodiscard]] int rank() const override { return inner_->rank(); }
    [[nodiscard]] int size() const override { return inner_->size(); }
    [[nodiscard]] bool carries_device_memory() const override { return carries_; }
    [[nodiscard]] comm::RequestId post_send(int peer, int tag, std::span<const std::byte> data) override;
    [[nodiscard]] comm::RequestId post_recv(int peer, int tag, std::span<std::byte> data) override;
    [[nodiscard]] bool test(comm::RequestId request) override;
    void cancel(comm::RequestId request) override;
    void send_control(int peer, std::string_view text) override { inner_->send_control(peer, text); }
    [[nodiscard]] std::optional<comm::ControlMessage> poll_control() override {
        return inner_->poll_control();
    }
    [[nodiscard]] std::optional<int> lost_peer() const override { return inner_->lost_peer(); }
    [[nodiscard]] std::optional<int> aborted() const override { return inner_->aborted(); }
    void abort(int exit_code) override { inner_->abort(exit_code); }

  private:
    struct Posted {
        bool receive = false;
        ToldClocks::Channel channel;
        std::size_t index = 0;  ///< in its channel
        Access access;
        Clock since;
    };

    std::unique_ptr<comm::Transport> inner_;
    std::shared_ptr<Schedule> schedule_;
    std::shared_ptr<ToldClocks> told_;
    bool carries_;
    std::size_t wire_ = 0;  ///< the stream of its own accesses
    std::map<comm::RequestId, Posted> posted_;
    std::map<ToldClocks::Channel, std::size_t> received_;
};

/// In-process ranks that tell each other what they know. `stopped`: a rank that a test makes fail, by its
/// transport's wrapper; may be empty.
using WrapTransport = std::function<std::unique_ptr<comm::Transport>(int, std::unique_ptr<comm::Transport>)>;
[[nodiscard]] std::vector<std::unique_ptr<comm::Communicator>> clocked_world(
    int ranks, const std::shared_ptr<Schedule>& schedule, bool carries, const comm::CommOptions& options,
    const WrapTransport& wrap = {});

}  // namespace trireme::async
