#include "comm/recording_transport.hpp"

namespace trireme::comm {
namespace {

class RecordingTransport final : public Transport {
  public:
    RecordingTransport(std::unique_ptr<Transport> inner, std::shared_ptr<MessageRecord> record)
        : inner_(std::move(inner)), record_(std::move(record)) {}

    void open() override { inner_->open(); }
    void close() override { inner_->close(); }
    [[nodiscard]] int rank() const override { return inner_->rank(); }
    [[nodiscard]] int size() const override { return inner_->size(); }
    [[nodiscard]] RequestId post_send(int peer, int tag, std::span<const std::byte> data) override {
        record_->add({rank(), peer, tag, static_cast<std::int64_t>(data.size())});
        return inner_->post_send(peer, tag, data);
    }
    [[nodiscard]] RequestId post_recv(int peer, int tag, std::span<std::byte> data) override {
        return inner_->post_recv(peer, tag, data);
    }
    [[nodiscard]] bool test(RequestId request) override { return inner_->test(request); }
    void cancel(RequestId request) override { inner_->cancel(request); }
    void send_control(int peer, std::string_view text) override { inner_->send_control(peer, text); }
    [[nodiscard]] std::optional<ControlMessage> poll_control() override { return inner_->poll_control(); }
    [[nodiscard]] std::optional<int> lost_peer() const override { return inner_->lost_peer(); }
    [[nodiscard]] std::optional<int> aborted() const override { return inner_->aborted(); }
    void abort(int exit_code) override { inner_->abort(exit_code); }

  private:
    std::unique_ptr<Transport> inner_;
    std::shared_ptr<MessageRecord> record_;
};

}  // namespace

std::unique_ptr<Transport> recording_transport(std::unique_ptr<Transport> inner,
                                               std::shared_ptr<MessageRecord> record) {
    return std::make_unique<RecordingTransport>(std::move(inner), std::move(record));
}

}  // namespace trireme::comm
