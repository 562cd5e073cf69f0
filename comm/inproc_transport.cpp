#include "comm/inproc_transport.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include "comm/request_table.hpp"

namespace trireme::comm {
namespace {

/// One send or receive. Its fields but `done` are guarded by the mutex of the receiver's mailbox.
struct Transfer {
    std::atomic<bool> done{false};
    bool receive = false;
    int peer = -1;
    int source = -1;
    int tag = 0;
    std::byte* data = nullptr;
    std::size_t size = 0;
    std::size_t arrived = 0;  ///< bytes that a matched send had
};

struct Mailbox {
    std::mutex mutex;
    std::vector<Transfer*> sends;     ///< to this rank, not matched yet, in the order of posting
    std::vector<Transfer*> receives;  ///< of this rank, not matched yet, in the order of posting
    std::deque<ControlMessage> control;
};

struct World {
    explicit World(int ranks) : mailboxes(static_cast<std::size_t>(ranks)) {}
    std::vector<Mailbox> mailboxes;
    std::atomic<int> lost{-1};
    std::atomic<int> exit_code{-1};
};

Transfer* take_match(std::vector<Transfer*>& waiting, int source, int tag) {
    const auto match = std::find_if(waiting.begin(), waiting.end(),
                                    [&](const Transfer* t) { return t->source == source && t->tag == tag; });
    if (match == waiting.end()) return nullptr;
    Transfer* found = *match;
    waiting.erase(match);
    return found;
}

void deliver(Transfer& send, Transfer& receive) {
    receive.arrived = send.size;
    const std::size_t bytes = std::min(send.size, receive.size);
    if (bytes > 0) std::memcpy(receive.data, send.data, bytes);
    send.done.store(true, std::memory_order_release);
    receive.done.store(true, std::memory_order_release);
}

class InprocTransport final : public Transport {
  public:
    InprocTransport(std::shared_ptr<World> world, int rank) : world_(std::move(world)), rank_(rank) {}

    ~InprocTransport() override {
        transfers_.for_each([&](Transfer& t) { withdraw(t); });
        int nobody = -1;
        if (!closed_) world_->lost.compare_exchange_strong(nobody, rank_);
    }

    void open() override {}
    void close() override { closed_ = true; }
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return static_cast<int>(world_->mailboxes.size()); }

    [[nodiscard]] RequestId post_send(int peer, int tag, std::span<const std::byte> data) override {
        const RequestId id = transfers_.take();
        Transfer& send = *transfers_.find(id);
        // A send only reads; the cast lets sends and receives share one type.
        fill(send, false, peer, rank_, tag, const_cast<std::byte*>(data.data()), data.size());
        Mailbox& box = mailbox(peer);
        const std::lock_guard lock(box.mutex);
        if (Transfer* receive = take_match(box.receives, rank_, tag)) {
            deliver(send, *receive);
        } else {
            box.sends.push_back(&send);
        }
        return id;
    }

    [[nodiscard]] RequestId post_recv(int peer, int tag, std::span<std::byte> data) override {
        const RequestId id = transfers_.take();
        Transfer& receive = *transfers_.find(id);
        fill(receive, true, peer, peer, tag, data.data(), data.size());
        Mailbox& box = mailbox(rank_);
        const std::lock_guard lock(box.mutex);
        if (Transfer* send = take_match(box.sends, peer, tag)) {
            deliver(*send, receive);
        } else {
            box.receives.push_back(&receive);
        }
        return id;
    }

    [[nodiscard]] bool test(RequestId request) override {
        Transfer* transfer = transfers_.find(request);
        ensure(transfer != nullptr, "a request is tested until it is done, not longer");
        if (!transfer->done.load(std::memory_order_acquire)) return false;
        transfers_.give_back(request);
        if (transfer->receive && transfer->arrived != transfer->size) {
            throw PeerFailure::mismatch(
                transfer->peer, fmt::format("rank {} sent {} bytes where rank {} expected {}", transfer->peer,
                                            transfer->arrived, rank_, transfer->size));
        }
        return true;
    }

    void cancel(RequestId request) override {
        Transfer* transfer = transfers_.find(request);
        if (transfer == nullptr) return;
        withdraw(*transfer);
        transfers_.give_back(request);
    }

    void send_control(int peer, std::string_view text) override {
        Mailbox& box = mailbox(peer);
        const std::lock_guard lock(box.mutex);
        box.control.push_back({rank_, std::string(text)});
    }

    [[nodiscard]] std::optional<ControlMessage> poll_control() override {
        Mailbox& box = mailbox(rank_);
        const std::lock_guard lock(box.mutex);
        if (box.control.empty()) return std::nullopt;
        ControlMessage message = std::move(box.control.front());
        box.control.pop_front();
        return message;
    }

    [[nodiscard]] std::optional<int> lost_peer() const override {
        const int lost = world_->lost.load();
        return lost < 0 ? std::nullopt : std::optional<int>(lost);
    }
    [[nodiscard]] std::optional<int> aborted() const override {
        const int code = world_->exit_code.load();
        return code < 0 ? std::nullopt : std::optional<int>(code);
    }
    void abort(int exit_code) override {
        int none = -1;
        world_->exit_code.compare_exchange_strong(none, exit_code);
    }

  private:
    static void fill(Transfer& t, bool receive, int peer, int source, int tag, std::byte* data,
                     std::size_t size) {
        t.done.store(false, std::memory_order_relaxed);
        t.receive = receive;
        t.peer = peer;
        t.source = source;
        t.tag = tag;
        t.data = data;
        t.size = size;
        t.arrived = 0;
    }

    [[nodiscard]] Mailbox& mailbox(int rank) { return world_->mailboxes.at(static_cast<std::size_t>(rank)); }

    /// After this no peer holds the transfer, and none is copying from or to it.
    void withdraw(Transfer& transfer) {
        Mailbox& box = mailbox(transfer.receive ? rank_ : transfer.peer);
        const std::lock_guard lock(box.mutex);
        std::erase(transfer.receive ? box.receives : box.sends, &transfer);
    }

    std::shared_ptr<World> world_;
    int rank_;
    bool closed_ = false;
    RequestTable<Transfer> transfers_;
};

}  // namespace

std::vector<std::unique_ptr<Transport>> in_process_transports(int ranks) {
    ensure(ranks >= 1, "a world has at least one rank");
    const auto world = std::make_shared<World>(ranks);
    std::vector<std::unique_ptr<Transport>> transports;
    for (int r = 0; r < ranks; ++r) transports.push_back(std::make_unique<InprocTransport>(world, r));
    return transports;
}

}  // namespace trireme::comm
