#include "runtime/device/cuda/nccl.hpp"

#include <array>
#include <cstddef>
#include <cstring>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_memory.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"

namespace trireme::cuda {
namespace {

/// The library's own declarations (nccl.h), as far as they are used.
struct UniqueId {
    std::array<char, 128> bytes;
};
using Comm = void*;
using Result = int;
constexpr Result success = 0;
constexpr int float32 = 7;
constexpr int sum = 0;

struct Functions {
    Result (*get_version)(int*);
    const char* (*get_error_string)(Result);
    Result (*get_unique_id)(UniqueId*);
    Result (*comm_init_rank)(Comm*, int, UniqueId, int);
    Result (*all_reduce)(const void*, void*, std::size_t, int, int, Comm, cudaStream_t);
    Result (*comm_destroy)(Comm);
    Result (*comm_abort)(Comm);
};

template <class Function>
void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(nccl_library().symbol(name));
}

/// Throws DeviceError where the library is not there, or older than 2.4.
const Functions& nccl() {
    static const Functions functions = [] {
        Functions f{};
        find(f.get_version, "ncclGetVersion");
        find(f.get_error_string, "ncclGetErrorString");
        find(f.get_unique_id, "ncclGetUniqueId");
        find(f.comm_init_rank, "ncclCommInitRank");
        find(f.all_reduce, "ncclAllReduce");
        find(f.comm_destroy, "ncclCommDestroy");
        find(f.comm_abort, "ncclCommAbort");
        return f;
    }();
    return functions;
}

void check_nccl(Result result, std::string_view action) {
    if (result == success) return;
    throw DeviceError(fmt::format("NCCL failed while {}: {}", action, nccl().get_error_string(result)));
}

class NcclSum final : public LibrarySum {
  public:
    explicit NcclSum(Comm comm) : comm_(comm) {}
    NcclSum(const NcclSum&) = delete;
    NcclSum& operator=(const NcclSum&) = delete;
    ~NcclSum() override {
        if (comm_ != nullptr) static_cast<void>(nccl().comm_destroy(comm_));
    }
    void all_reduce(Stream& stream, float* data, std::int64_t elements) override {
        check_nccl(nccl().all_reduce(data, data, static_cast<std::size_t>(elements), float32, sum, comm_,
                                     native(stream)),
                   "starting a sum");
    }
    void give_up() noexcept override {
        if (comm_ != nullptr) static_cast<void>(nccl().comm_abort(comm_));
        comm_ = nullptr;
    }

  private:
    Comm comm_;
};

}  // namespace

std::string Nccl::name() {
    if (!refusal().empty()) return {};
    int version = 0;
    check_nccl(nccl().get_version(&version), "telling its version");
    return fmt::format("NCCL {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string Nccl::refusal() {
    try {
        static_cast<void>(nccl());
        return {};
    } catch (const DeviceError& error) {
        const std::string why = error.what();
        return why.substr(0, why.find(". "));  // the rest tells where it was looked for, in many lines
    }
}

std::string Nccl::new_id() {
    UniqueId id{};
    check_nccl(nccl().get_unique_id(&id), "making an id to join with");
    return {id.bytes.data(), id.bytes.size()};
}

std::unique_ptr<LibrarySum> Nccl::join(const std::string& id, int rank, int ranks) {
    UniqueId joined{};
    ensure(id.size() == joined.bytes.size(), "an id of NCCL has its size");
    std::memcpy(joined.bytes.data(), id.data(), id.size());
    check(cudaSetDevice(device_), "choosing a device");
    Comm comm = nullptr;
    check_nccl(nccl().comm_init_rank(&comm, ranks, joined, rank), "joining the other ranks");
    auto library_sum = std::make_unique<NcclSum>(comm);
    // Ranks are connected in their first sum, which waits as joining does.
    CudaMemory memory(device_, "the GPU");
    const Region one(memory, Bytes(sizeof(float)));
    CudaStream stream;
    library_sum->all_reduce(stream, reinterpret_cast<float*>(one.data()), 1);
    stream.synchronize();
    return library_sum;
}

}  // namespace trireme::cuda
