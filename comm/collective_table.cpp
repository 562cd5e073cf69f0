#include "comm/collective_table.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "comm/peer_messages.hpp"
#include "comm/ring.hpp"
#include "comm/select.hpp"
#include "comm/tag.hpp"
#include "comm/tree.hpp"

namespace trireme::comm {
namespace {

/// Lists that are kept: those of a training job's buckets, of which there are far fewer.
constexpr std::size_t most_lists = 512;

}  // namespace

CollectiveTable::CollectiveTable(Transport& transport, Group group, const CommOptions& options,
                                 OnFinished on_finished)
    : transport_(transport), group_(std::move(group)), on_finished_(std::move(on_finished)) {
    lanes_.push_back(std::make_unique<Lane>(std::make_shared<HostOps>(), nullptr, transport,
                                            options.segment_bytes, std::span<std::byte>()));
}

int CollectiveTable::open_lane(LaneSetup setup) {
    setup.ops->open();
    std::unique_ptr<Messages> own;
    if (!setup.peers.empty()) {
        own = std::make_unique<PeerMessages>(transport_, *setup.ops, group_.world_rank(group_.index()),
                                             std::move(setup.peers));
    }
    Messages& messages = own ? *own : static_cast<Messages&>(transport_);
    lanes_.push_back(std::make_unique<Lane>(std::move(setup.ops), std::move(own), messages,
                                            setup.segment_bytes, setup.staging));
    return static_cast<int>(lanes_.size()) - 1;
}

void CollectiveTable::close_lane(int lane) {
    cancel_where([&](const Open& open) { return lane_number(open) == lane; });
    lanes_.at(static_cast<std::size_t>(lane)).reset();
}

void CollectiveTable::admit(std::shared_ptr<Ticket::State> ticket) {
    const Collective& what = ticket->what;
    Fingerprint print{group_.id(),          called_++, what.op, what.count, what.dtype,
                      Algorithm::automatic, what.root};
    if (what.op == Op::all_reduce) {
        print.algorithm =
            select(what.algorithm, group_.size(), bytes_of(Elements(what.count), what.dtype)).algorithm;
    }
    ensure(open_.empty() || print.sequence - open_.front().fingerprint.sequence < Tag::open_collectives,
           "fewer than 2^11 collectives are open at once");
    recent_[print.sequence % recent_.size()] = print;
    ticket->sequence = print.sequence;
    open_.push_back({std::move(ticket), print, nullptr, {}});
    ++moves_;
}

bool CollectiveTable::advance() {
    bool moved = false;
    for (std::size_t i = 0; i < open_.size();) {
        Open& open = open_[i];
        if (i >= played_at_once && open.fingerprint.op != Op::barrier) {
            ++i;
            continue;
        }
        if (open.task == nullptr) {
            const Ready& ready = open.ticket->what.ready;
            if (ready && !ready()) {
                ++i;
                continue;
            }
            begin(open);
        }
        if (open.task->advance()) {
            moved = true;
            ++moves_;
        }
        if (open.task->done()) {
            finish(i);
        } else {
            ++i;
        }
    }
    return moved;
}

void CollectiveTable::begin(Open& open) {
    Lane& lane = lane_of(open);
    if (lane.spare_tasks.empty()) {
        lane.spare_tasks.push_back(std::make_unique<CollectiveTask>(lane.messages, lane.staging, *lane.ops));
    }
    const Tag tag{group_.id(), open.fingerprint.sequence, open.fingerprint.hash()};
    std::shared_ptr<const StepList> steps = steps_of(open);
    open.task = std::move(lane.spare_tasks.back());
    lane.spare_tasks.pop_back();
    open.began = std::chrono::steady_clock::now();
    const Collective& what = open.ticket->what;
    open.task->start(std::move(steps), group_, tag.pack(), what.data, what.dtype, what.place.staged.get());
}

void CollectiveTable::finish(std::size_t position) {
    Open open = std::move(open_[position]);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(position));
    lane_of(open).spare_tasks.push_back(std::move(open.task));
    on_finished_({*open.ticket, open.fingerprint, open.began});
}

void CollectiveTable::drop(Open& open) {
    if (open.task == nullptr) return;
    open.task->cancel();
    lane_of(open).spare_tasks.push_back(std::move(open.task));
}

void CollectiveTable::cancel_all() {
    for (Open& open : open_) drop(open);
    open_.clear();
}

template <class Chosen>
void CollectiveTable::cancel_where(Chosen chosen) {
    std::erase_if(open_, [&](Open& open) {
        if (!chosen(open)) return false;
        drop(open);
        open.ticket->status.store(TicketStatus::cancelled);
        return true;
    });
}

void CollectiveTable::cancel_in(const std::byte* begin, const std::byte* end) {
    cancel_where([&](const Open& open) {
        const std::byte* data = open.ticket->what.data;
        return data >= begin && data < end;
    });
}

bool CollectiveTable::is_open(std::uint64_t sequence) const {
    return std::any_of(open_.begin(), open_.end(),
                       [&](const Open& open) { return open.fingerprint.sequence == sequence; });
}

void CollectiveTable::fill(RankReport& report, std::uint64_t sequence) const {
    report.changes += moves_;
    report.entered = called_;
    const bool remembered = sequence < called_ && called_ - sequence <= recent_.size();
    if (remembered) report.asked = recent_[sequence % recent_.size()].str();
    report.waiting = !open_.empty();
    if (open_.empty()) return;
    const Open& oldest = open_.front();
    report.sequence = oldest.fingerprint.sequence;
    report.collective = describe(oldest);
    if (oldest.task == nullptr) return;
    report.steps = oldest.task->executed();
    report.waits_for = oldest.task->waits_for();
}

std::string CollectiveTable::describe(const Open& open) const {
    const std::string& label = open.ticket->what.label;
    return label.empty() ? open.fingerprint.str() : fmt::format("'{}' ({})", label, open.fingerprint.str());
}

std::string CollectiveTable::str() const {
    std::string text;
    for (const Open& open : open_) {
        text += "  " + describe(open);
        if (open.task != nullptr) {
            text += fmt::format(": {} steps done, waits for ranks [{}]", open.task->executed(),
                                fmt::join(open.task->waits_for(), ", "));
        }
        text += '\n';
    }
    return text;
}

std::shared_ptr<const StepList> CollectiveTable::steps_of(const Open& open) {
    const Fingerprint& print = open.fingerprint;
    if (const auto& staged = open.ticket->what.place.staged) return staged->steps();
    // The pieces of an all-gather are seldom the same twice.
    if (print.op == Op::canonical_all_reduce) return open.ticket->what.steps;
    const std::int64_t segment_bytes = lane_of(open).segment_bytes;
    if (print.op == Op::all_gather) return std::make_shared<const StepList>(make_steps(open, segment_bytes));
    const ListKey key{print.op,   print.algorithm,  print.count, size_of(print.dtype),
                      print.root, lane_number(open)};
    const auto known = lists_.find(key);
    if (known != lists_.end()) return known->second;
    if (lists_.size() >= most_lists) lists_.clear();
    return lists_.emplace(key, std::make_shared<const StepList>(make_steps(open, segment_bytes)))
        .first->second;
}

StepList CollectiveTable::make_steps(const Open& open, std::int64_t segment_bytes) const {
    const Fingerprint& print = open.fingerprint;
    const std::int64_t segment = segment_bytes / size_of(print.dtype);
    switch (print.op) {
        case Op::all_reduce:
            return all_reduce_steps(print.algorithm, group_.size(), group_.index(), print.count, segment);
        case Op::broadcast:
            return binomial_broadcast(group_.size(), group_.index(), print.root, print.count, segment);
        case Op::all_gather:
            return ring_all_gather(group_.index(), open.ticket->what.pieces, segment);
        case Op::barrier:
            return dissemination_barrier(group_.size(), group_.index());
        case Op::canonical_all_reduce:
            break;  // its list comes with it
    }
    throw InternalError("unknown collective");
}

}  // namespace trireme::comm
