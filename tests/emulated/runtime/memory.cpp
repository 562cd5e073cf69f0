#include "tests/emulated/runtime/memory.hpp"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/emulated/runtime/pages.hpp"

namespace trireme::emulated {
namespace {

constexpr std::size_t block = std::size_t{2} << 20;
constexpr std::size_t alignment = 256;  // what CUDA promises
constexpr std::size_t reserved = std::size_t{1} << 43;

bool on_device(Kind kind) { return kind == Kind::device || kind == Kind::managed; }

/// Nobody may touch it any more.
void fence(char* at, std::size_t size) {
    map_over(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

}  // namespace

Memory::Memory(int devices, std::int64_t bytes_each, bool deceived)
    : total_(bytes_each),
      deceived_(deceived),
      large_(static_cast<std::size_t>(devices)),
      small_(large_.size()),
      asked_(large_.size()),
      peak_(large_.size()) {
    void* all = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) die("reserving addresses");
    end_ = static_cast<char*>(all) + reserved;
    begin_ = next_ =
        static_cast<char*>(all) + (block - reinterpret_cast<std::uintptr_t>(all) % block) % block;
    file_ = ::memfd_create("emulated device memory", MFD_CLOEXEC);
    if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(reserved)) != 0) die("making a file in memory");
    const std::size_t size = rounded(sizeof(ExportTable), page);
    map_over(reserve(size), size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
}

/// With a page behind it that stays untouchable. What is large begins where a huge page can.
char* Memory::reserve(std::size_t pages_size) {
    if (pages_size >= block) next_ = begin_ + rounded(static_cast<std::size_t>(next_ - begin_), block);
    if (pages_size + page > static_cast<std::size_t>(end_ - next_)) die("all addresses have been used");
    char* at = next_;
    next_ += pages_size + page;
    return at;
}

Range* Memory::allocate(Kind kind, int device, std::size_t size) {
    const std::size_t span = rounded(size, alignment);
    if (on_device(kind)) {
        const auto index = static_cast<std::size_t>(device);
        if (span > static_cast<std::size_t>(total_)) return nullptr;
        std::int64_t& sum = span >= block / 2 ? large_[index] : small_[index];
        const auto taken = static_cast<std::int64_t>(span >= block / 2 ? rounded(span, block) : span);
        sum += taken;
        if (used(device) > total_) {
            sum -= taken;
            return nullptr;
        }
        asked_[index] += static_cast<std::int64_t>(size);
        peak_[index] = std::max(peak_[index], asked_[index]);
    }
    Range range{.kind = kind, .device = device, .size = size};
    range.map_size = rounded(span, page);
    range.map = reserve(range.map_size);
    range.base = range.map + (range.map_size - span);
    const bool shared = kind == Kind::device;
    map_over(range.map, range.map_size, PROT_READ | PROT_WRITE,
             shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, shared ? file_ : -1,
             shared ? static_cast<std::size_t>(range.map - begin_) : 0);
    if (range.map_size >= block) static_cast<void>(::madvise(range.map, range.map_size, MADV_HUGEPAGE));
    std::memset(range.map, 0xff, range.map_size);
    return &(ranges_[range.base + size] = range);
}

void Memory::release(Range& range) {
    if (on_device(range.kind)) {
        const auto index = static_cast<std::size_t>(range.device);
        const std::size_t span = rounded(range.size, alignment);
        asked_[index] -= static_cast<std::int64_t>(range.size);
        if (span >= block / 2) {
            large_[index] -= static_cast<std::int64_t>(rounded(span, block));
        } else {
            small_[index] -= static_cast<std::int64_t>(span);
        }
    }
    if (range.slot >= 0 && range.kind == Kind::device) table().slot[range.slot].id = 0;
    if (range.kind == Kind::device) {
        const auto offset = static_cast<off_t>(range.map - begin_);
        static_cast<void>(::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                                      static_cast<off_t>(range.map_size)));
    }
    if (range.kind != Kind::registered) fence(range.map, range.map_size);
    forget(range);
}

void Memory::add_registered(char* base, std::size_t size) {
    ranges_[base + size] = Range{.kind = Kind::registered, .base = base, .size = size};
}

void Memory::forget(Range& range) { ranges_.erase(range.base + range.size); }

Range* Memory::holds(const void* address) {
    auto* at = const_cast<char*>(static_cast<const char*>(address));
    const auto found = ranges_.upper_bound(at);
    return found != ranges_.end() && found->second.base <= at ? &found->second : nullptr;
}

Range* Memory::begins(const void* address) {
    Range* range = holds(address);
    return range != nullptr && range->base == address ? range : nullptr;
}

bool Memory::touches_any(const void* address, std::size_t size) {
    auto* at = const_cast<char*>(static_cast<const char*>(address));
    const auto found = ranges_.upper_bound(at);
    return found != ranges_.end() && found->second.base < at + size;
}

bool Memory::ours(const void* address) const { return address >= begin_ && address < end_; }

std::int64_t Memory::used(int device) const {
    const auto index = static_cast<std::size_t>(device);
    return large_[index] + static_cast<std::int64_t>(rounded(static_cast<std::size_t>(small_[index]), block));
}

}  // namespace trireme::emulated
