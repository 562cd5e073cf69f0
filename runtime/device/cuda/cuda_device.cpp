#include "runtime/device/cuda/cuda_device.hpp"

#include <charconv>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <span>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"

namespace trireme {
namespace cuda {
namespace {

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

DriverAnswer::State state_of(cudaError_t status, const DriverAnswer& answer) {
    switch (status) {
        case cudaSuccess:
            return answer.visible > 0 ? DriverAnswer::State::ready : DriverAnswer::State::no_gpu;
        case cudaErrorNoDevice:
            return DriverAnswer::State::no_gpu;
        case cudaErrorStubLibrary:
            return DriverAnswer::State::no_driver;
        case cudaErrorInsufficientDriver:  // also when there is none at all
            return answer.driver == 0 ? DriverAnswer::State::no_driver : DriverAnswer::State::too_old;
        default:
            return DriverAnswer::State::failed;
    }
}

/// "GPU-1b2c..." as nvidia-smi writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
    std::string text = "GPU";
    for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
    }
    return text;
}

std::string hex_of(std::span<const char> bytes) {
    std::string text;
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return text;
}

/// Throws InternalError where the text is not that of as many bytes.
void bytes_of_hex(const std::string& text, std::span<char> bytes) {
    ensure(text.size() == 2 * bytes.size(), "a handle of shared memory has its size");
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        unsigned value = 0;
        const char* digits = text.data() + 2 * i;
        const auto parsed = std::from_chars(digits, digits + 2, value, 16);
        ensure(parsed.ptr == digits + 2, "a handle of shared memory is hexadecimal");
        bytes[i] = static_cast<char>(value);
    }
}

}  // namespace

DriverAnswer ask_driver() {
    DriverAnswer answer;
    static_cast<void>(cudaDriverGetVersion(&answer.driver));
    static_cast<void>(cudaRuntimeGetVersion(&answer.runtime));
    const cudaError_t status = cudaGetDeviceCount(&answer.visible);
    if (status != cudaSuccess) {
        answer.visible = 0;
        answer.words = cudaGetErrorString(status);
        static_cast<void>(cudaGetLastError());
    }
    answer.state = state_of(status, answer);
    return answer;
}

Surroundings surroundings() {
    Surroundings around;
    around.visible_devices = variable("CUDA_VISIBLE_DEVICES");
    around.in_slurm = std::getenv("SLURM_JOB_ID") != nullptr;
    for (int i = 0; i < 16 && !around.device_files; ++i) {
        std::error_code ignored;
        around.device_files = std::filesystem::exists(fmt::format("/dev/nvidia{}", i), ignored);
    }
    return around;
}

}  // namespace cuda

struct CudaDevice::Facts {
    int index = 0;
    int visible = 0;
    cudaDeviceProp properties{};

    [[nodiscard]] int sm() const { return 10 * properties.major + properties.minor; }

    /// Asks in the order in which things can be missing, so that the first message names the cause.
    static Facts gather(int local_rank) {
        const cuda::DriverAnswer answer = cuda::ask_driver();
        if (const std::string why = cuda::refusal_of_driver(answer, cuda::surroundings()); !why.empty())
            throw DeviceError(why);
        Facts facts;
        facts.visible = answer.visible;
        facts.index = cuda::gpu_of(answer.visible, local_rank);
        cuda::check(cudaSetDevice(facts.index), fmt::format("taking GPU {}", facts.index));
        cuda::check(cudaGetDeviceProperties(&facts.properties, facts.index),
                    "asking a GPU for its properties");
        if (const std::string why = cuda::refusal_of_gpu(facts.properties.name, facts.sm()); !why.empty())
            throw DeviceError(why);
        cuda::require_libraries();
        return facts;
    }
};

CudaDevice::CudaDevice(int local_rank) : CudaDevice(Facts::gather(local_rank)) {}

CudaDevice::CudaDevice(Facts facts)
    : index_(facts.index),
      visible_(facts.visible),
      name_(facts.properties.name),
      uuid_(cuda::uuid_text(facts.properties.uuid)),
      sm_(facts.sm()),
      multiprocessors_(facts.properties.multiProcessorCount),
      total_(static_cast<std::int64_t>(facts.properties.totalGlobalMem)),
      memory_(facts.index, fmt::format("GPU {} ({}, {})", facts.index, name_, uuid_)) {}

std::string CudaDevice::describe() const {
    return fmt::format("{}, sm_{}, {}, GPU {} of {}", name_, sm_, human_bytes(total_), index_, visible_);
}

std::unique_ptr<Stream> CudaDevice::make_stream() {
    cuda::check(cudaSetDevice(index_), "choosing a device");
    return std::make_unique<CudaStream>();
}

std::unique_ptr<Event> CudaDevice::make_event() {
    cuda::check(cudaSetDevice(index_), "choosing a device");
    return std::make_unique<CudaEvent>(/*timed=*/false);
}

std::unique_ptr<Event> CudaDevice::make_timed_event() {
    cuda::check(cudaSetDevice(index_), "choosing a device");
    return std::make_unique<CudaEvent>(/*timed=*/true);
}

void CudaDevice::pin(std::byte* memory, Bytes size) {
    cuda::check(cudaHostRegister(memory, static_cast<std::size_t>(size.value), cudaHostRegisterPortable),
                fmt::format("locking {} of host memory", human_bytes(size)));
}

void CudaDevice::unpin(std::byte* memory) noexcept { static_cast<void>(cudaHostUnregister(memory)); }

SharedMemory CudaDevice::share(Bytes size) {
    // CUDA shares whole blocks of 2 MiB: of a smaller allocation it would give away its neighbours.
    constexpr std::int64_t block = std::int64_t{2} << 20;
    const Region& region = shared_.emplace_back(memory_, Bytes((size.value + block - 1) / block * block));
    cudaIpcMemHandle_t handle{};
    cuda::check(cudaIpcGetMemHandle(&handle, region.data()), "sharing memory with other ranks");
    return {region.data(), size, cuda::hex_of(handle.reserved)};
}

std::byte* CudaDevice::open_shared(const std::string& handle) {
    cuda::check(cudaSetDevice(index_), "choosing a device");
    cudaIpcMemHandle_t theirs{};
    cuda::bytes_of_hex(handle, theirs.reserved);
    void* memory = nullptr;
    cuda::check(cudaIpcOpenMemHandle(&memory, theirs, cudaIpcMemLazyEnablePeerAccess),
                "mapping memory of another rank's GPU");
    return static_cast<std::byte*>(memory);
}

void CudaDevice::close_shared(std::byte* memory) noexcept {
    static_cast<void>(cudaSetDevice(index_));
    static_cast<void>(cudaIpcCloseMemHandle(memory));
}

}  // namespace trireme
