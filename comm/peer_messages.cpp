#include "comm/peer_messages.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "comm/tag.hpp"
#include "runtime/core/error.hpp"

namespace trireme::comm {

PeerMessages::PeerMessages(Messages& carrier, MemoryOps& ops, int rank,
                           std::vector<std::span<const std::byte>> memory)
    : carrier_(carrier), ops_(ops), rank_(rank), memory_(std::move(memory)) {}

PeerMessages::~PeerMessages() {
    for (const Answer& a : answers_) carrier_.cancel(a.request);
}

RequestId PeerMessages::post_send(int peer, int tag, std::span<const std::byte> data) {
    const std::span<const std::byte> mine = memory_.at(static_cast<std::size_t>(rank_));
    ensure(data.data() >= mine.data() && data.data() + data.size() <= mine.data() + mine.size(),
           "what is sent to a peer lies in memory that it can read");
    const RequestId id = transfers_.take();
    Transfer& send = *transfers_.find(id);
    send = Transfer{};
    send.peer = peer;
    send.tag = tag;
    send.description = {data.data() - mine.data(), static_cast<std::int64_t>(data.size()), sent_++};
    send.answered =
        carrier_.post_recv(peer, answer_tag(tag), std::as_writable_bytes(std::span(&send.answer, 1)));
    send.told = carrier_.post_send(peer, tag, std::as_bytes(std::span(&send.description, 1)));
    return id;
}

RequestId PeerMessages::post_recv(int peer, int tag, std::span<std::byte> data) {
    const RequestId id = transfers_.take();
    Transfer& receive = *transfers_.find(id);
    receive = Transfer{};
    receive.receive = true;
    receive.peer = peer;
    receive.tag = tag;
    receive.to = data;
    receive.told = carrier_.post_recv(peer, tag, std::as_writable_bytes(std::span(&receive.description, 1)));
    awaited_.push_back(id);
    return id;
}

bool PeerMessages::test(RequestId request) {
    Transfer* transfer = transfers_.find(request);
    ensure(transfer != nullptr, "a request is tested until it is done, not longer");
    answers_.remove_if([&](const Answer& a) { return carrier_.test(a.request); });
    start_copies();
    if (transfer->receive) {
        if (!transfer->copying || !ops_.passed(transfer->copied)) return false;
        answer(*transfer);
    } else if (!test_send(*transfer)) {
        return false;
    }
    transfers_.give_back(request);
    return true;
}

bool PeerMessages::test_send(Transfer& send) {
    if (send.told != none && carrier_.test(send.told)) send.told = none;
    if (send.answered != none && carrier_.test(send.answered)) {
        send.answered = none;
        // Answers to one peer and tag come in the order of the messages, since receives are done in it.
        ensure(send.answer == send.description.number, "a message is answered by its own answer");
    }
    return send.told == none && send.answered == none;
}

void PeerMessages::start_copies() {
    std::erase_if(awaited_, [&](RequestId id) {
        Transfer& receive = *transfers_.find(id);
        if (!carrier_.test(receive.told)) return false;
        receive.told = none;
        start_copy(receive);
        return true;
    });
}

void PeerMessages::start_copy(Transfer& receive) {
    const Description& message = receive.description;
    const auto size = static_cast<std::int64_t>(receive.to.size());
    if (message.size != size) {
        throw PeerFailure::mismatch(
            receive.peer, fmt::format("rank {} sent {} bytes where rank {} expected {}", receive.peer,
                                      message.size, rank_, size));
    }
    const std::span<const std::byte> theirs = memory_.at(static_cast<std::size_t>(receive.peer));
    ensure(message.offset >= 0 && message.offset + size <= static_cast<std::int64_t>(theirs.size()),
           "a message lies in memory that its sender gave to its peers");
    ops_.copy(receive.to.data(), theirs.data() + message.offset, size);
    receive.copied = ops_.mark();
    receive.copying = true;
}

void PeerMessages::answer(const Transfer& receive) {
    Answer& a = answers_.emplace_back(Answer{receive.description.number, none});
    a.request =
        carrier_.post_send(receive.peer, answer_tag(receive.tag), std::as_bytes(std::span(&a.number, 1)));
}

void PeerMessages::cancel(RequestId request) {
    Transfer* transfer = transfers_.find(request);
    if (transfer == nullptr) return;
    if (transfer->copying) ops_.drain();
    for (const RequestId of_carrier : {transfer->told, transfer->answered}) {
        if (of_carrier != none) carrier_.cancel(of_carrier);
    }
    std::erase(awaited_, request);
    transfers_.give_back(request);
}

}  // namespace trireme::comm
