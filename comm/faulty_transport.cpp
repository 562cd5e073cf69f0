#include "comm/faulty_transport.hpp"

#include "comm/request_table.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::comm {
namespace {

struct FaultyRequest {
    RequestId inner = -1;
    bool lost = false;
    bool arrived = false;
    int polls_left = 0;
};

class FaultyTransport final : public Transport {
  public:
    FaultyTransport(std::unique_ptr<Transport> inner, FaultPlan plan)
        : inner_(std::move(inner)), plan_(std::move(plan)), random_(plan_.seed, "comm/faults") {}

    void open() override { inner_->open(); }
    void close() override { inner_->close(); }
    [[nodiscard]] int rank() const override { return inner_->rank(); }
    [[nodiscard]] int size() const override { return inner_->size(); }

    [[nodiscard]] RequestId post_send(int peer, int tag, std::span<const std::byte> data) override {
        const std::int64_t index = sends_++;
        if (index == plan_.stop_at_send) plan_.stopped->store(true);
        const bool lost = index == plan_.drop_send || stopped();
        return add(lost ? -1 : inner_->post_send(peer, tag, data), lost, 0);
    }

    [[nodiscard]] RequestId post_recv(int peer, int tag, std::span<std::byte> data) override {
        const int late = plan_.most_polls_late == 0
                             ? 0
                             : static_cast<int>(random_.below(
                                   draws_++, static_cast<std::uint64_t>(plan_.most_polls_late) + 1));
        const bool lost = stopped();
        return add(lost ? -1 : inner_->post_recv(peer, tag, data), lost, late);
    }

    [[nodiscard]] bool test(RequestId request) override {
        if (stopped()) return false;
        FaultyRequest* r = requests_.find(request);
        ensure(r != nullptr, "a request is tested until it is done, not longer");
        if (!r->arrived) r->arrived = r->lost || inner_->test(r->inner);
        if (!r->arrived || r->polls_left-- > 0) return false;
        requests_.give_back(request);
        return true;
    }

    void cancel(RequestId request) override {
        FaultyRequest* r = requests_.find(request);
        if (r == nullptr) return;
        if (!r->lost && !r->arrived) inner_->cancel(r->inner);
        requests_.give_back(request);
    }

    void send_control(int peer, std::string_view text) override {
        if (!stopped()) inner_->send_control(peer, text);
    }
    [[nodiscard]] std::optional<ControlMessage> poll_control() override {
        return stopped() ? std::nullopt : inner_->poll_control();
    }
    [[nodiscard]] std::optional<int> lost_peer() const override { return inner_->lost_peer(); }
    [[nodiscard]] std::optional<int> aborted() const override { return inner_->aborted(); }
    void abort(int exit_code) override { inner_->abort(exit_code); }

  private:
    [[nodiscard]] bool stopped() const { return plan_.stopped->load(); }
    RequestId add(RequestId inner, bool lost, int polls_left) {
        const RequestId id = requests_.take();
        *requests_.find(id) = {inner, lost, false, polls_left};
        return id;
    }

    std::unique_ptr<Transport> inner_;
    FaultPlan plan_;
    RandomStream random_;
    std::uint64_t draws_ = 0;
    std::int64_t sends_ = 0;
    RequestTable<FaultyRequest> requests_;
};

}  // namespace

std::unique_ptr<Transport> faulty_transport(std::unique_ptr<Transport> inner, FaultPlan plan) {
    return std::make_unique<FaultyTransport>(std::move(inner), std::move(plan));
}

}  // namespace trireme::comm
