#include "comm/collective_task.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

bool overlap(IndexRange a, IndexRange b) { return a.begin < b.end && b.begin < a.end; }

}  // namespace

CollectiveTask::~CollectiveTask() { cancel(); }

void CollectiveTask::start(std::shared_ptr<const StepList> steps, const Group& group, int tag,
                           std::byte* data, DType dtype, StagedBuffer* staged) {
    ensure(done(), "a collective task is started when it is idle");
    steps_ = std::move(steps);
    group_ = &group;
    tag_ = tag;
    data_ = data;
    dtype_ = dtype;
    staged_ = staged;
    told_ = 0;
    next_ = 0;
    next_receive_ = 0;
    block_ = staging_.take_block();
    free_slots_.clear();
    for (int slot = 0; slot < staging_.slots(); ++slot) free_slots_.push_back(slot);
}

bool CollectiveTask::advance() {
    if (done()) return false;
    bool moved = reap_sends();
    for (bool again = true; again;) {
        again = reap_work();
        again = post_receives() || again;
        again = execute_next() || again;
        tell_settled();
        moved = moved || again;
    }
    if (next_ == steps_->size() && work_.empty() && sends_.empty()) {
        finish();
        return true;
    }
    return moved;
}

void CollectiveTask::cancel() {
    if (done()) return;
    for (const PostedReceive& r : receives_) {
        if (!r.arrived) messages_.cancel(r.request);
    }
    for (const UnfinishedSend& s : sends_) messages_.cancel(s.request);
    if (!work_.empty() || staged_ != nullptr) ops_.drain();
    finish();
}

void CollectiveTask::finish() {
    receives_.clear();
    sends_.clear();
    work_.clear();
    staged_ = nullptr;
    staging_.give_back(block_);
    block_ = nullptr;
    steps_.reset();
}

std::vector<int> CollectiveTask::waits_for() const {
    std::vector<int> peers;
    if (done()) return peers;
    const auto add = [&](int member) {
        const int rank = group_->world_rank(member);
        if (std::find(peers.begin(), peers.end(), rank) == peers.end()) peers.push_back(rank);
    };
    const bool has_come = !receives_.empty() && receives_.front().step == next_ && receives_.front().arrived;
    if (next_ < steps_->size() && receives((*steps_)[next_].verb) && !has_come) add((*steps_)[next_].from);
    for (const UnfinishedSend& s : sends_) add((*steps_)[s.step].to);
    return peers;
}

std::byte* CollectiveTask::place_of(const Step& step) const { return data_ + step.offset * size_of(dtype_); }

std::byte* CollectiveTask::slot_place(int slot) const { return block_ + slot * staging_.slot_bytes(); }

std::size_t CollectiveTask::bytes_of_step(const Step& step) const {
    return static_cast<std::size_t>(step.count * size_of(dtype_));
}

bool CollectiveTask::arrived(IndexRange range) const { return staged_ == nullptr || staged_->arrived(range); }

/// By a send that is under way, or by one that follows work which is.
bool CollectiveTask::read_by_send(IndexRange range) const {
    const auto overlaps = [&](std::size_t step) { return overlap(range_of((*steps_)[step]), range); };
    return std::any_of(sends_.begin(), sends_.end(),
                       [&](const UnfinishedSend& s) { return s.slot == no_slot && overlaps(s.step); }) ||
           std::any_of(work_.begin(), work_.end(), [&](const Work& w) {
               return !w.sends_slot && sends((*steps_)[w.step].verb) && overlaps(w.step);
           });
}

/// The first step that is not executed, or whose work is under way.
std::size_t CollectiveTask::first_unfinished() const { return work_.empty() ? next_ : work_.front().step; }

/// True when steps that are not finished yet, or unfinished sends, still need the range of `step`.
bool CollectiveTask::touched_before(std::size_t step) const {
    const IndexRange wanted = range_of((*steps_)[step]);
    for (std::size_t i = first_unfinished(); i < step; ++i) {
        if (overlap(range_of((*steps_)[i]), wanted)) return true;
        if ((*steps_)[i].verb == Verb::add && overlap(source_of((*steps_)[i]), wanted)) return true;
    }
    return read_by_send(wanted);
}

int CollectiveTask::sums_under_way() const {
    return static_cast<int>(
        std::count_if(sends_.begin(), sends_.end(),
                      [](const UnfinishedSend& s) { return s.slot != no_slot; }) +
        std::count_if(work_.begin(), work_.end(), [](const Work& w) { return w.sends_slot; }));
}

bool CollectiveTask::reap_sends() {
    const std::size_t before = sends_.size();
    std::erase_if(sends_, [&](const UnfinishedSend& s) {
        if (!messages_.test(s.request)) return false;
        release(s.slot);
        return true;
    });
    return sends_.size() != before;
}

/// What work has written may be sent now, and its slot used again.
bool CollectiveTask::reap_work() {
    const auto passed =
        std::find_if(work_.begin(), work_.end(), [&](const Work& w) { return !ops_.passed(w.mark); });
    const bool any = passed != work_.begin();
    for (auto w = work_.begin(); w != passed; ++w) {
        if (!w->sends_slot) release(w->slot);
        if (sends((*steps_)[w->step].verb)) post_send(w->step, w->sends_slot ? w->slot : no_slot);
    }
    work_.erase(work_.begin(), passed);
    return any;
}

bool CollectiveTask::post_receives() {
    bool posted = false;
    for (; next_receive_ < steps_->size(); ++next_receive_) {
        const Step& step = (*steps_)[next_receive_];
        if (!receives(step.verb)) continue;
        if (receives_.size() >= stream_depth) return posted;
        // What is still on its way would overwrite a message that has landed.
        if (lands(step.verb) && !arrived(range_of(step))) return posted;
        // A range that is still in use will be free by the time its step is reached, but for sends that may
        // be waiting for this very receive: at that point it goes through a slot.
        const bool direct = lands(step.verb) && !touched_before(next_receive_);
        if (!direct && lands(step.verb) && next_receive_ != next_) return posted;
        if (!direct && free_slots_.empty()) return posted;
        int slot = no_slot;
        if (!direct) {
            slot = free_slots_.back();
            free_slots_.pop_back();
        }
        std::byte* place = direct ? place_of(step) : slot_place(slot);
        ensure(direct || static_cast<std::int64_t>(bytes_of_step(step)) <= staging_.slot_bytes(),
               "a segment fits a staging slot");
        const RequestId request =
            messages_.post_recv(group_->world_rank(step.from), tag_, {place, bytes_of_step(step)});
        receives_.push_back({next_receive_, request, slot, false});
        posted = true;
    }
    return posted;
}

bool CollectiveTask::execute_next() {
    if (next_ == steps_->size()) return false;
    const Step& step = (*steps_)[next_];
    if (step.verb == Verb::add) {
        if (!arrived(range_of(step)) || !arrived(source_of(step))) return false;
        if (read_by_send(range_of(step))) return reap_sends();
        ops_.add(place_of(step), data_ + step.source * size_of(dtype_), step.count, dtype_);
        add_work(no_slot, false);
        ++next_;
        return true;
    }
    if (!receives(step.verb)) {
        // Work in front of it may write what it sends, and has sends of its own that come first.
        if (!work_.empty() || !arrived(range_of(step))) return false;
        post_send(next_, no_slot);
        ++next_;
        return true;
    }
    if (receives_.empty() || receives_.front().step != next_) return false;
    PostedReceive& receive = receives_.front();
    if (!receive.arrived) receive.arrived = messages_.test(receive.request);
    return receive.arrived && execute_received(receive);
}

bool CollectiveTask::execute_received(PostedReceive receive) {
    const Step& step = (*steps_)[next_];
    const int slot = receive.slot;
    if (!arrived(range_of(step))) return false;
    if (stores(step.verb) && slot != no_slot && read_by_send(range_of(step))) return reap_sends();
    const bool passes_on = step.verb == Verb::recv_reduce_send;
    if (passes_on && sums_under_way() >= stream_depth) return reap_sends();

    receives_.erase(receives_.begin());
    if (passes_on) {
        ops_.add(slot_place(slot), place_of(step), step.count, dtype_);
    } else if (reduces(step.verb)) {
        ops_.add(place_of(step), slot_place(slot), step.count, dtype_);
    } else if (slot != no_slot) {
        ops_.copy(place_of(step), slot_place(slot), static_cast<std::int64_t>(bytes_of_step(step)));
    }
    if (slot != no_slot || sends(step.verb)) add_work(slot, passes_on);
    ++next_;
    return true;
}

/// In list order, and only once a step's work has been done.
void CollectiveTask::tell_settled() {
    if (staged_ == nullptr) return;
    const std::vector<FinalStore>& stores = staged_->final_stores();
    for (; told_ < stores.size() && stores[told_].step < first_unfinished(); ++told_)
        staged_->settled(stores[told_].range);
}

void CollectiveTask::add_work(int slot, bool sends_slot) {
    work_.push_back({next_, ops_.mark(), slot, sends_slot});
}

void CollectiveTask::post_send(std::size_t step, int slot) {
    const Step& what = (*steps_)[step];
    const std::byte* from = slot == no_slot ? place_of(what) : slot_place(slot);
    const RequestId request =
        messages_.post_send(group_->world_rank(what.to), tag_, {from, bytes_of_step(what)});
    sends_.push_back({step, request, slot});
}

void CollectiveTask::release(int slot) {
    if (slot != no_slot) free_slots_.push_back(slot);
}

}  // namespace trireme::comm
