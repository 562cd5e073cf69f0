#include "comm/engine_core.hpp"

#include <thread>

#include <fmt/format.h>

#include "runtime/core/text.hpp"

namespace trireme::comm {
namespace {

constexpr int spins = 20;
constexpr std::chrono::microseconds short_sleep{50};
/// How long an idle rank may leave the questions of others unanswered.
constexpr std::chrono::milliseconds idle_sleep{5};

}  // namespace

EngineCore::EngineCore(std::unique_ptr<Transport> transport, const CommOptions& options)
    : options_(options), transport_(std::move(transport)) {
    ensure(options.segment_bytes >= 64 && options.segment_bytes % 8 == 0 &&
               options.segment_bytes <= max_message_bytes,
           "segments hold whole elements and fit one message");
}

void EngineCore::open() {
    try {
        transport_->open();
    } catch (...) {
        {
            const std::lock_guard lock(mutex_);
            open_error_ = std::current_exception();
        }
        opened_.store(true);
        notify();
        return;
    }
    rank_ = transport_->rank();
    size_ = transport_->size();
    carries_device_memory_ = transport_->carries_device_memory();
    table_.emplace(*transport_, Group::world(size_, rank_), options_,
                   [this](const CollectiveTable::Finished& finished) { on_finished(finished); });
    failure_.emplace(*transport_, options_, [this](std::uint64_t sequence) { return self_report(sequence); });
    opened_.store(true);
    notify();
}

bool EngineCore::step() {
    if (closed_.load()) return false;
    const auto now = Deadline::Clock::now();
    bool moved = false;
    try {
        moved = commands_.drain([this](Command& command) { run_command(command); });
        if (closed_.load()) return true;
        moved = failure_->listen(now) || moved;
        look_for_losses(now);
        if (!failed_.load()) moved = move() || moved;
        failure_->tick(now, *table_);
    } catch (const std::exception& error) {
        own_error(error, now);
        moved = true;
    }
    if (failure_->settled() && !failed_.load()) {
        // First nobody may touch the buffers any more: those who wait will release them.
        table_->cancel_all();
        publish(*failure_->settled());
        moved = true;
    }
    return moved;
}

void EngineCore::run_command(Command& command) {
    if (!command.collective) {
        command.action();
    } else if (!failed_.load()) {
        table_->admit(std::move(command.collective));
    }
}

bool EngineCore::move() {
    const bool moved = table_->advance();
    if (close_requested_ && table_->idle()) {
        transport_->close();
        closed_.store(true);
        notify();
        return true;
    }
    return moved;
}

void EngineCore::look_for_losses(FailureProtocol::Time now) {
    if (failed_.load() || failure_->has_announced()) return;
    if (const std::optional<int> code = transport_->aborted()) {
        failure_->announce(verdict_here(ErrorClass::peer_lost, "DEAD",
                                        fmt::format("the job was aborted with exit code {}", *code)),
                           now);
    } else if (const std::optional<int> lost = transport_->lost_peer()) {
        Verdict verdict{ErrorClass::peer_lost,        "DEAD", *lost, host_of(*lost), {}, {},
                        "left the job before its end"};
        failure_->announce(verdict, now);
    }
}

void EngineCore::own_error(const std::exception& error, FailureProtocol::Time now) {
    table_->cancel_all();
    Verdict verdict = verdict_here(ErrorClass::internal, "ERROR", error.what());
    if (const auto* peer = dynamic_cast<const PeerFailure*>(&error)) {
        verdict = {peer->error_class(), peer->kind(), peer->peer(), host_of(peer->peer()), {}, {},
                   peer->what()};
    } else if (const auto* known = dynamic_cast<const Error*>(&error)) {
        verdict.error_class = known->error_class();
    }
    if (failure_->has_announced()) {
        // Not even telling the others works: this rank is on its own.
        if (!failed_.load()) publish({verdict, rank_});
        return;
    }
    try {
        failure_->announce(verdict, now);
    } catch (const Error&) {
        publish({verdict, rank_});
    }
}

void EngineCore::on_finished(const CollectiveTable::Finished& finished) {
    const Collective& what = finished.ticket.what;
    if (what.place.finished) what.place.finished();
    {
        const std::lock_guard lock(state_mutex_);
        if (sink_ != nullptr) {
            const Bytes bytes = bytes_of(Elements(what.count), what.dtype);
            sink_->span(Track::comm, what.label, finished.began, std::chrono::steady_clock::now(),
                        fmt::format("{}, {}", human_bytes(bytes), finished.fingerprint.str()));
        }
    }
    finished.ticket.status.store(TicketStatus::done);
    notify();
}

void EngineCore::publish(const FailureProtocol::Outcome& outcome) {
    {
        const std::lock_guard lock(mutex_);
        outcome_ = outcome;
    }
    failed_.store(true);
    notify();
}

RankReport EngineCore::self_report(std::uint64_t sequence) const {
    RankReport report;
    report.answered = true;
    report.host = host_of(rank_);
    {
        const std::lock_guard lock(state_mutex_);
        report.phase = trireme::name_of(phase_);
        report.instruction = instruction_text();
        report.changes = state_changes_;
    }
    table_->fill(report, sequence);
    return report;
}

Verdict EngineCore::verdict_here(ErrorClass cls, std::string kind, std::string reason) const {
    const std::lock_guard lock(state_mutex_);
    return {cls,
            std::move(kind),
            rank_,
            host_of(rank_),
            trireme::name_of(phase_),
            instruction_text(),
            std::move(reason)};
}

std::string EngineCore::dump() const {
    const RankReport report = self_report(0);
    return fmt::format("rank {} of {} (host {}): phase {}, instruction {}, {} collectives called, open:\n{}",
                       rank_, size_, report.host, report.phase, report.instruction, report.entered,
                       table_->str());
}

void EngineCore::rest(int quiet) {
    const bool under_way = !table_->idle() || failure_->busy() || close_requested_;
    if (quiet < spins) return;
    if (under_way) {
        std::this_thread::sleep_for(short_sleep);
        return;
    }
    std::unique_lock lock(mutex_);
    asleep_.store(true);
    wake_.wait_for(lock, idle_sleep, [this] { return !commands_.empty() || stop_.load(); });
    asleep_.store(false);
}

void EngineCore::push(std::unique_ptr<Command> command) {
    commands_.push(std::move(command));
    if (!asleep_.load()) return;
    const std::lock_guard lock(mutex_);
    wake_.notify_one();
}

void EngineCore::push_action(std::function<void()> action) {
    auto command = std::make_unique<Command>();
    command->action = std::move(action);
    push(std::move(command));
}

bool EngineCore::await(const std::function<bool()>& ready, const Deadline& deadline) {
    if (ready()) return true;
    std::unique_lock lock(mutex_);
    waiters_.fetch_add(1);
    const bool is_ready = changed_.wait_until(lock, deadline.time(), ready);
    waiters_.fetch_sub(1);
    return is_ready;
}

void EngineCore::notify() {
    if (waiters_.load() == 0) return;
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void EngineCore::request_stop() {
    stop_.store(true);
    const std::lock_guard lock(mutex_);
    wake_.notify_one();
}

FailureProtocol::Outcome EngineCore::outcome() const {
    const std::lock_guard lock(mutex_);
    return outcome_.value();
}

void EngineCore::rethrow_open_error() const {
    const std::lock_guard lock(mutex_);
    if (open_error_) std::rethrow_exception(open_error_);
}

void EngineCore::set_state(Phase phase, std::string_view instruction) {
    const std::lock_guard lock(state_mutex_);
    phase_ = phase;
    instruction_size_ = instruction.copy(instruction_.data(), instruction_.size());
    ++state_changes_;
}

void EngineCore::set_hosts(std::vector<std::string> hosts) {
    const std::lock_guard lock(mutex_);
    hosts_ = std::move(hosts);
}

std::string EngineCore::host_of(int rank) const {
    const std::lock_guard lock(mutex_);
    const auto index = static_cast<std::size_t>(rank);
    return rank >= 0 && index < hosts_.size() ? hosts_[index] : "unknown";
}

void EngineCore::set_trace(TraceSink* sink) {
    const std::lock_guard lock(state_mutex_);
    sink_ = sink;
}

}  // namespace trireme::comm
