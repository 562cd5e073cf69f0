#include "comm/progress.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>

namespace trireme::comm {
namespace {

/// Seconds that the progress side has to react to a call.
constexpr double reaction = 2.0;
/// Seconds that it has to make streams and events of a device, or to wait for what runs on them.
constexpr double device_reaction = 30.0;
/// Seconds that a rank waits to be ended by the one that speaks.
constexpr double wait_for_speaker = 3.0;
/// Verdict rounds after which a wait gives up; more than one only if things moved in between.
constexpr int most_rounds = 4;
constexpr unsigned long timer_slack_ns = 1000;

}  // namespace

ProgressEngine::ProgressEngine(std::unique_ptr<Transport> transport, const CommOptions& options,
                               const Deadline& deadline)
    : options_(options), core_(std::make_shared<EngineCore>(std::move(transport), options)) {
    if (options_.inline_progress) {
        core_->open();
    } else {
        thread_ = std::thread(&ProgressEngine::run, core_);
        if (!core_->await([this] { return core_->opened(); }, deadline)) {
            thread_.detach();
            throw CommTimeout(
                "the message library did not start before the join deadline: not all ranks were launched, or "
                "they cannot reach each other");
        }
    }
    try {
        core_->rethrow_open_error();
    } catch (...) {
        if (thread_.joinable()) thread_.join();
        throw;
    }
}

ProgressEngine::~ProgressEngine() {
    if (stuck_) {
        thread_.detach();
        return;
    }
    if (!core_->closed() && !core_->failed()) {
        const Verdict left =
            core_->verdict_here(ErrorClass::peer_lost, "DEAD", "left the job before its end");
        (void)announce_failure(left);
    }
    core_->request_stop();
    if (thread_.joinable()) thread_.join();
}

void ProgressEngine::run(const std::shared_ptr<EngineCore>& core) {
    // Sleeps of 50 us should take 50 us; the default slack of the kernel doubles them.
    prctl(PR_SET_TIMERSLACK, timer_slack_ns, 0, 0, 0);
    core->open();
    int quiet = 0;
    const auto goes_on = [&] { return !core->stop_requested() && !core->closed(); };
    try {
        core->rethrow_open_error();
    } catch (...) {
        return;  // The constructor throws it.
    }
    while (goes_on()) {
        if (core->step()) {
            quiet = 0;
        } else {
            core->rest(quiet++);
        }
    }
}

void ProgressEngine::poll() {
    if (options_.inline_progress) (void)core_->step();
}

bool ProgressEngine::wait_until(const std::function<bool()>& ready, const Deadline& deadline) {
    if (!options_.inline_progress) return core_->await(ready, deadline);
    int quiet = 0;
    while (!ready()) {
        if (deadline.expired()) return false;
        if (core_->step()) {
            quiet = 0;
        } else {
            core_->rest(quiet++);
        }
    }
    return true;
}

bool ProgressEngine::call(std::function<void()> action, double patience) {
    if (stuck_ || core_->closed()) return false;
    const auto done = std::make_shared<std::atomic<bool>>(false);
    core_->push_action([core = core_.get(), act = std::move(action), done] {
        act();
        done->store(true);
        core->notify();
    });
    const bool reacted = wait_until([done] { return done->load(); }, Deadline::in_seconds(patience));
    if (!reacted && !options_.inline_progress) stuck_ = true;
    return reacted;
}

void ProgressEngine::set_hosts(const std::vector<std::string>& hosts) {
    core_->set_hosts(hosts);
    core_->push_action([core = core_.get(), hosts] { core->failure().set_hosts(hosts); });
}

Ticket ProgressEngine::submit(Collective collective) {
    auto state = std::make_shared<Ticket::State>(std::move(collective));
    auto command = std::make_unique<Command>();
    command->collective = state;
    core_->push(std::move(command));
    return Ticket(std::move(state));
}

void ProgressEngine::wait(const Ticket& ticket, const Deadline& deadline) {
    ensure(ticket.valid(), "a ticket that is waited for came from a collective");
    const auto state = ticket.state();
    const auto began = Deadline::Clock::now();
    const auto over = [this, state] {
        return state->status.load() != TicketStatus::under_way || core_->failed();
    };
    bool ended = wait_until(over, deadline);
    if (!ended) {
        const double waited = std::chrono::duration<double>(Deadline::Clock::now() - began).count();
        core_->push_action([core = core_.get(), state, waited] {
            if (state->status.load() != TicketStatus::under_way || !core->table().is_open(state->sequence))
                return;
            core->failure().inquire(state->sequence, waited, core->table(), Deadline::Clock::now());
        });
        const double patience = FailureProtocol::longest(options_, size()) * most_rounds + reaction;
        ended = wait_until(over, Deadline::in_seconds(patience));
    }
    if (state->status.load() == TicketStatus::done) return;
    if (core_->failed()) throw_failed();
    ensure(!ended, "a collective that is waited for was given up, because its memory was released");
    throw CommTimeout(fmt::format("rank {} waited too long for '{}', and no verdict came about", rank(),
                                  state->what.label));
}

void ProgressEngine::throw_failed() const {
    const FailureProtocol::Outcome outcome = core_->outcome();
    throw JobFailed(outcome.verdict, outcome.speaker == rank());
}

bool ProgressEngine::announce_failure(const Verdict& verdict) {
    core_->push_action(
        [core = core_.get(), verdict] { core->failure().announce(verdict, Deadline::Clock::now()); });
    const double patience = FailureProtocol::longest(options_, size()) + reaction;
    const bool settled = wait_until([this] { return core_->failed(); }, Deadline::in_seconds(patience));
    return !settled || core_->outcome().speaker == rank();
}

void ProgressEngine::abort(int exit_code, bool speaker) {
    const auto ended = std::make_shared<std::atomic<bool>>(false);
    const auto look = [core = core_.get(), ended] { ended->store(core->transport().aborted().has_value()); };
    if (!speaker) {
        const Deadline deadline = Deadline::in_seconds(wait_for_speaker);
        while (!ended->load() && !deadline.expired() && call(look, reaction)) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        if (ended->load()) return;
    }
    (void)call([core = core_.get(), exit_code] { core->transport().abort(exit_code); }, reaction);
}

void ProgressEngine::close(const Deadline& deadline) {
    core_->push_action([core = core_.get()] { core->request_close(); });
    const bool ended = wait_until([this] { return core_->closed() || core_->failed(); }, deadline);
    if (core_->closed()) return;
    if (core_->failed()) throw_failed();
    ensure(!ended, "the engine is closed or has failed");
    stuck_ = !options_.inline_progress;
    throw CommTimeout(fmt::format("rank {}: the message library did not end before the deadline", rank()));
}

void ProgressEngine::forget_memory(const std::byte* begin, const std::byte* end) {
    (void)call([core = core_.get(), begin, end] { core->table().cancel_in(begin, end); }, reaction);
}

int ProgressEngine::open_lane(LaneSetup setup) {
    struct Opened {
        LaneSetup setup;
        int lane = -1;
        std::exception_ptr error;
    };
    const auto opened = std::make_shared<Opened>(Opened{std::move(setup), -1, nullptr});
    const bool reacted = call(
        [core = core_.get(), opened] {
            try {
                opened->lane = core->table().open_lane(std::move(opened->setup));
            } catch (...) {
                opened->error = std::current_exception();
            }
        },
        device_reaction);
    if (!reacted) throw CommTimeout(fmt::format("rank {}: the progress thread does not react", rank()));
    if (opened->error) std::rethrow_exception(opened->error);
    return opened->lane;
}

void ProgressEngine::close_lane(int lane) noexcept {
    (void)call([core = core_.get(), lane] { core->table().close_lane(lane); }, device_reaction);
}

std::string ProgressEngine::dump_state() {
    const auto text = std::make_shared<std::string>();
    const bool reacted = call([core = core_.get(), text] { *text = core->dump(); }, reaction);
    return reacted ? *text : fmt::format("rank {}: the progress thread is stuck or has ended", rank());
}

}  // namespace trireme::comm
