#include "comm/communicator.hpp"

#include <array>
#include <numeric>

#include <fmt/format.h>
#include <unistd.h>

#include "comm/inproc_transport.hpp"
#include "comm/mpi_transport.hpp"
#include "comm/progress.hpp"
#include "comm/select.hpp"
#include "runtime/core/host_memory.hpp"

namespace trireme::comm {

std::string Verdict::str() const {
    std::string text = fmt::format("rank {} (host {}): {}: ", rank, host, trireme::name_of(error_class));
    if (!kind.empty() && kind != "ERROR") text += kind + ": ";
    return text + reason;
}

JobFailed::JobFailed(Verdict verdict, bool speaker)
    : Error(verdict.error_class, verdict.str()), verdict_(std::move(verdict)), speaker_(speaker) {}

bool Ticket::done() const { return state_ != nullptr && state_->status.load() == TicketStatus::done; }

/// Host memory that tells the engine before it goes, so that an exception which unwinds past a bucket never
/// leaves the progress thread with a pointer into released memory.
class BucketMemory final : public MemorySpace {
  public:
    explicit BucketMemory(ProgressEngine& engine) : engine_(engine) {}
    [[nodiscard]] MemoryKind kind() const override { return MemoryKind::host; }
    [[nodiscard]] std::string_view name() const override { return "buckets"; }
    [[nodiscard]] std::byte* allocate(Bytes size) override { return host_.allocate(size); }
    void release(std::byte* memory, Bytes size) noexcept override {
        engine_.forget_memory(memory, memory + size.value);
        host_.release(memory, size);
    }

  private:
    ProgressEngine& engine_;
    HostMemory host_;
};

Communicator::Communicator(std::unique_ptr<ProgressEngine> engine)
    : engine_(std::move(engine)),
      buckets_(std::make_unique<BucketMemory>(*engine_)),
      host_(engine_->host()) {}

Communicator::~Communicator() = default;

int Communicator::rank() const { return engine_->rank(); }
int Communicator::size() const { return engine_->size(); }
const std::string& Communicator::host() const { return host_; }

Region Communicator::allocate_buckets(Bytes size) { return {*buckets_, size}; }

Ticket Communicator::all_reduce(std::span<float> data, Algorithm algorithm, std::string_view label,
                                Ready ready, OnLane place) {
    Collective c;
    c.op = Op::all_reduce;
    c.algorithm = algorithm;
    c.dtype = DType::f32;
    c.count = static_cast<std::int64_t>(data.size());
    c.data = reinterpret_cast<std::byte*>(data.data());
    c.label = label;
    c.ready = std::move(ready);
    c.place = std::move(place);
    return engine_->submit(std::move(c));
}

std::shared_ptr<const StepList> Communicator::all_reduce_steps(std::int64_t count,
                                                               Algorithm algorithm) const {
    const Bytes size = bytes_of(Elements(count), DType::f32);
    return std::make_shared<const StepList>(comm::all_reduce_steps(
        select(algorithm, this->size(), size).algorithm, this->size(), rank(), count, segment_elements()));
}

Ticket Communicator::canonical_all_reduce(std::shared_ptr<const StepList> steps, std::span<float> data,
                                          std::int64_t count, std::string_view label, Ready ready,
                                          OnLane place) {
    Collective c;
    c.op = Op::canonical_all_reduce;
    c.dtype = DType::f32;
    c.count = count;
    c.steps = std::move(steps);
    c.data = reinterpret_cast<std::byte*>(data.data());
    c.label = label;
    c.ready = std::move(ready);
    c.place = std::move(place);
    return engine_->submit(std::move(c));
}

std::int64_t Communicator::segment_elements() const {
    return engine_->options().segment_bytes / size_of(DType::f32);
}

void Communicator::wait(const Ticket& ticket, const Deadline& deadline) { engine_->wait(ticket, deadline); }

int Communicator::open_lane(LaneSetup setup) { return engine_->open_lane(std::move(setup)); }
void Communicator::close_lane(int lane) noexcept { engine_->close_lane(lane); }
bool Communicator::carries_device_memory() const { return engine_->carries_device_memory(); }

Ticket Communicator::arrive(std::string_view label, Ready ready) {
    Collective c;
    c.label = label;
    c.ready = std::move(ready);
    return engine_->submit(std::move(c));
}

void Communicator::barrier(std::string_view label, const Deadline& deadline) {
    wait(arrive(label), deadline);
}

void Communicator::broadcast(std::span<std::byte> data, int root, std::string_view label,
                             const Deadline& deadline) {
    if (root < 0 || root >= size()) {
        throw InternalError(fmt::format("broadcast '{}': rank {} does not exist", label, root));
    }
    Collective c;
    c.op = Op::broadcast;
    c.count = static_cast<std::int64_t>(data.size());
    c.root = root;
    c.data = data.data();
    c.label = label;
    wait(engine_->submit(std::move(c)), deadline);
}

std::vector<std::string> Communicator::all_gather(std::string_view mine, std::string_view label,
                                                  const Deadline& deadline) {
    const auto ranks = static_cast<std::size_t>(size());
    const auto gather = [&](DType dtype, std::vector<std::int64_t> pieces, auto memory) {
        Collective c;
        c.op = Op::all_gather;
        c.dtype = dtype;
        c.count = std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0});
        c.pieces = std::move(pieces);
        c.data = reinterpret_cast<std::byte*>(memory->data());
        c.label = label;
        c.keep_alive = memory;
        wait(engine_->submit(std::move(c)), deadline);
    };
    const auto sizes = std::make_shared<std::vector<std::int64_t>>(ranks, 0);
    sizes->at(static_cast<std::size_t>(rank())) = static_cast<std::int64_t>(mine.size());
    gather(DType::i64, std::vector<std::int64_t>(ranks, 1), sizes);

    std::vector<std::size_t> begins(ranks + 1, 0);
    for (std::size_t r = 0; r < ranks; ++r) begins[r + 1] = begins[r] + static_cast<std::size_t>((*sizes)[r]);
    const auto text = std::make_shared<std::string>(begins.back(), '\0');
    mine.copy(text->data() + begins[static_cast<std::size_t>(rank())], mine.size());
    gather(DType::u8, *sizes, text);

    std::vector<std::string> texts;
    for (std::size_t r = 0; r < ranks; ++r) {
        texts.push_back(text->substr(begins[r], begins[r + 1] - begins[r]));
    }
    return texts;
}

void Communicator::set_state(Phase phase, std::string_view instruction) {
    engine_->set_state(phase, instruction);
}
void Communicator::set_trace(TraceSink* sink) { engine_->set_trace(sink); }
bool Communicator::announce_failure(const Verdict& verdict) { return engine_->announce_failure(verdict); }
void Communicator::abort(int exit_code, bool speaker) { engine_->abort(exit_code, speaker); }
void Communicator::poll() { engine_->poll(); }
std::string Communicator::dump_state() { return engine_->dump_state(); }

void Communicator::finish(const Deadline& deadline) {
    set_state(Phase::finish, "finish");
    barrier("finish", deadline);
    engine_->close(deadline);
}

namespace {

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
    return name.data();
}

std::unique_ptr<Communicator> join_over(std::unique_ptr<Transport> transport, const CommOptions& options,
                                        const Deadline& deadline) {
    auto engine = std::make_unique<ProgressEngine>(std::move(transport), options, deadline);
    // Known at once, so that a failure while the hosts are gathered names this host.
    std::vector<std::string> hosts(static_cast<std::size_t>(engine->size()), "unknown");
    hosts[static_cast<std::size_t>(engine->rank())] = host_name();
    engine->set_hosts(hosts);
    ProgressEngine& handle = *engine;
    auto communicator = std::make_unique<Communicator>(std::move(engine));
    handle.set_hosts(communicator->all_gather(host_name(), "hosts", deadline));
    return communicator;
}

}  // namespace

std::unique_ptr<Communicator> join_mpi(const CommOptions& options, const Deadline& deadline) {
    return join_over(mpi_transport(), options, deadline);
}

std::vector<std::unique_ptr<Communicator>> world_over(std::vector<std::unique_ptr<Transport>> transports,
                                                      const CommOptions& options) {
    const std::vector<std::string> hosts(transports.size(), host_name());
    std::vector<std::unique_ptr<Communicator>> world;
    for (std::unique_ptr<Transport>& transport : transports) {
        auto engine =
            std::make_unique<ProgressEngine>(std::move(transport), options, Deadline::in_seconds(60));
        engine->set_hosts(hosts);
        world.push_back(std::make_unique<Communicator>(std::move(engine)));
    }
    return world;
}

std::vector<std::unique_ptr<Communicator>> in_process_world(int ranks, const CommOptions& options) {
    return world_over(in_process_transports(ranks), options);
}

}  // namespace trireme::comm
