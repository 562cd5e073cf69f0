#include "tests/async/async_world.hpp"

#include <utility>

#include "comm/inproc_transport.hpp"

namespace trireme::async {

ClockedTransport::ClockedTransport(std::unique_ptr<comm::Transport> inner, std::shared_ptr<Schedule> schedule,
                                   std::shared_ptr<ToldClocks> told, bool carries)
    : inner_(std::move(inner)), schedule_(std::move(schedule)), told_(std::move(told)), carries_(carries) {}

void ClockedTransport::open() {
    inner_->open();
    wire_ = schedule_->add_stream(inner_->rank());
}

comm::RequestId ClockedTransport::post_send(int peer, int tag, std::span<const std::byte> data) {
    const ToldClocks::Channel channel{rank(), peer, tag};
    Posted posted{false,
                  channel,
                  0,
                  {data.data(), static_cast<std::int64_t>(data.size()), false},
                  schedule_->knowledge()};
    {
        const std::lock_guard lock(told_->mutex);
        told_->sent[channel].push_back(posted.since);
    }
    const comm::RequestId id = inner_->post_send(peer, tag, data);
    posted_[id] = std::move(posted);
    return id;
}

comm::RequestId ClockedTransport::post_recv(int peer, int tag, std::span<std::byte> data) {
    const ToldClocks::Channel channel{peer, rank(), tag};
    const comm::RequestId id = inner_->post_recv(peer, tag, data);
    posted_[id] = {true,
                   channel,
                   received_[channel]++,
                   {data.data(), static_cast<std::int64_t>(data.size()), true},
                   schedule_->knowledge()};
    return id;
}

bool ClockedTransport::test(comm::RequestId request) {
    if (!inner_->test(request)) return false;
    const Posted posted = std::move(posted_.extract(request).mapped());
    if (posted.access.size > 0 && schedule_->is_device_memory(posted.access.begin))
        schedule_->touched_by_message(wire_, posted.receive ? "receive" : "send", posted.access,
                                      posted.since);
    if (posted.receive) {
        Clock clock;
        {
            const std::lock_guard lock(told_->mutex);
            clock = told_->sent[posted.channel].at(posted.index);
        }
        schedule_->learn(clock);
    }
    return true;
}

void ClockedTransport::cancel(comm::RequestId request) {
    posted_.erase(request);
    inner_->cancel(request);
}

std::vector<std::unique_ptr<comm::Communicator>> clocked_world(int ranks,
                                                               const std::shared_ptr<Schedule>& schedule,
                                                               bool carries, const comm::CommOptions& options,
                                                               const WrapTransport& wrap) {
    const auto told = std::make_shared<ToldClocks>();
    std::vector<std::unique_ptr<comm::Transport>> transports = comm::in_process_transports(ranks);
    for (int r = 0; r < ranks; ++r) {
        auto& place = transports[static_cast<std::size_t>(r)];
        place = std::make_unique<ClockedTransport>(std::move(place), schedule, told, carries);
        if (wrap) place = wrap(r, std::move(place));
    }
    return comm::world_over(std::move(transports), options);
}

}  // namespace trireme::async
