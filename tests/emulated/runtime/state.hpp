// What CUDA's handles point to, and the state of the process. Handles are never reused: so what is used after
// its destruction is noticed, whatever comes after it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include <cuda_runtime_api.h>

#include "tests/emulated/runtime/memory.hpp"
#include "tests/emulated/runtime/scheduler.hpp"
#include "tests/emulated/runtime/settings.hpp"

namespace trireme::emulated {

/// Memory of others that lives as long as graphs do; its end is work of the scheduler's.
struct UserObject {
    void* payload = nullptr;
    cudaHostFn_t destroy = nullptr;
    std::int64_t references = 0;
};

struct Node {
    enum class Kind { work, record, wait };
    Kind kind = Kind::work;
    Work work{};
    cudaEvent_t event = nullptr;
    std::vector<std::size_t> after{};  ///< nodes in front of it in the list
};

/// One hold of a graph on a user object, given up with the last graph that has it.
struct Retention;

/// The nodes in an order in which they may run.
struct GraphBody {
    std::vector<Node> nodes{};
    std::vector<std::shared_ptr<Retention>> retained{};
};

/// From cudaStreamBeginCapture to cudaStreamEndCapture.
struct Capture {
    std::uint64_t id = 0;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::uint64_t thread = 0;
    cudaStream_t origin = nullptr;
    cudaGraph_t graph = nullptr;
    bool valid = true;
    bool ended = false;
};

}  // namespace trireme::emulated

struct CUstream_st {
    std::uint64_t number = 0;
    int device = 0;
    unsigned flags = cudaStreamDefault;
    bool legacy = false;
    bool alive = true;
    trireme::emulated::TaskRef last{};
    std::shared_ptr<trireme::emulated::Capture> capture{};
    std::vector<std::size_t> front{};  ///< the nodes that the next one comes behind

    [[nodiscard]] bool blocking() const { return !legacy && (flags & cudaStreamNonBlocking) == 0; }
};

struct CUevent_st {
    int device = 0;
    unsigned flags = cudaEventDefault;
    bool alive = true;
    bool recorded = false;
    trireme::emulated::TaskRef record{};
    /// Where its last record was captured, and behind what.
    std::shared_ptr<trireme::emulated::Capture> capture{};
    std::vector<std::size_t> front{};
};

struct CUgraph_st {
    bool alive = true;
    bool capturing = false;
    trireme::emulated::GraphBody body{};
};

struct CUgraphExec_st {
    bool alive = true;
    int device = 0;
    std::shared_ptr<const trireme::emulated::GraphBody> body{};
    trireme::emulated::TaskRef last{};
};

namespace trireme::emulated {

struct Process {
    Process();

    std::mutex mutex{};
    Settings settings;
    std::vector<int> visible;  ///< the devices that the process sees, as numbers of all
    Memory memory;
    Scheduler scheduler;
    std::vector<CUstream_st> legacy;
    std::unordered_set<const void*> handles{};         ///< of all kinds, destroyed ones too
    std::vector<cudaStream_t> streams{};               ///< alive
    std::vector<std::shared_ptr<Capture>> captures{};  ///< that have not ended
    std::uint64_t numbers = 0;

    /// cudaSuccess where CUDA can work at all.
    [[nodiscard]] cudaError_t start() const;
    [[nodiscard]] int devices() const { return static_cast<int>(visible.size()); }
};

/// Lives until the process ends; its worker thread does, too.
[[nodiscard]] Process& process();

struct Retention {
    UserObject* object;
    std::int64_t references;
    Retention(UserObject* held, std::int64_t count) : object(held), references(count) {}
    Retention(const Retention&) = delete;
    Retention& operator=(const Retention&) = delete;
    ~Retention();
};

/// Gives up references; with the last one the object's function is queued. The mutex is held.
void release_user_object(UserObject& object, std::int64_t count);

}  // namespace trireme::emulated
