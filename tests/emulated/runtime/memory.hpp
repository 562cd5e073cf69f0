// The memory that CUDA knows of in this process. All that it allocates lies in one range of addresses, of
// which none is given twice and each allocation ends at a page that nobody may touch: what reads behind an
// end, or after a free, dies by a signal. Device memory is a file in memory, so that other processes can map
// it; addresses and places in the file are the same numbers. New memory is filled with bytes 0xff: no float
// of it is a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme::emulated {

struct ExportTable;

enum class Kind { device, managed, imported, pinned, registered };

struct Range {
    Kind kind = Kind::device;
    int device = 0;
    char* base = nullptr;
    std::size_t size = 0;
    char* map = nullptr;  ///< the pages that hold it
    std::size_t map_size = 0;
    int slot = -1;  ///< in the table of exports, once it is exported
    // Of imported memory:
    int opened = 0;
    std::int32_t exporter = 0;  ///< the process
    std::uint64_t export_id = 0;
    ExportTable* table = nullptr;  ///< the exporter's
};

/// What another process needs to map an allocation: it fits cudaIpcMemHandle_t.
struct Export {
    std::uint64_t mark;
    std::int32_t process;
    std::int32_t file;
    std::int32_t slot;
    std::int32_t device;
    std::uint64_t offset;  ///< of the allocation's first byte
    std::uint64_t size;
    std::uint64_t id;  ///< of this allocation and no other
};

class Memory {
  public:
    /// `deceived`: what other processes exported is mapped, and reads as zeros.
    Memory(int devices, std::int64_t bytes_each, bool deceived);

    /// Null where a device has not as much left.
    [[nodiscard]] Range* allocate(Kind kind, int device, std::size_t size);
    void release(Range& range);
    void add_registered(char* base, std::size_t size);

    /// The one that holds this address; null where none does.
    [[nodiscard]] Range* holds(const void* address);
    /// The one that begins there.
    [[nodiscard]] Range* begins(const void* address);
    [[nodiscard]] bool touches_any(const void* address, std::size_t size);
    /// In the range from which all allocations come, now or then.
    [[nodiscard]] bool ours(const void* address) const;
    [[nodiscard]] std::int64_t used(int device) const;
    [[nodiscard]] std::int64_t total() const { return total_; }
    /// The most bytes that a device's allocations had together, as they were asked for.
    [[nodiscard]] std::int64_t peak(int device) const { return peak_[static_cast<std::size_t>(device)]; }

    [[nodiscard]] Export exported(Range& range);
    [[nodiscard]] bool is_own(const Export& exported) const;
    /// True while another process has it open.
    [[nodiscard]] bool open_elsewhere(const Range& range) const;
    /// Maps what another process exported, or finds it mapped already. Null with the reason in `why`.
    [[nodiscard]] Range* import(const Export& theirs, std::string& why);
    /// Unmaps it where this was the last of its openings.
    void close(Range& range);

  private:
    [[nodiscard]] char* reserve(std::size_t pages_size);
    [[nodiscard]] Range* map_import(const Export& theirs, int file, ExportTable& table);
    [[nodiscard]] ExportTable& table() const { return *reinterpret_cast<ExportTable*>(begin_); }
    void forget(Range& range);

    std::int64_t total_;
    bool deceived_;
    std::vector<std::int64_t> large_;  ///< bytes of each device in blocks of 2 MiB of their own
    std::vector<std::int64_t> small_;  ///< and bytes in blocks that are shared
    std::vector<std::int64_t> asked_;  ///< bytes of each device, as they were asked for
    std::vector<std::int64_t> peak_;
    std::map<char*, Range> ranges_{};  ///< by the first address behind them
    char* begin_ = nullptr;
    char* next_ = nullptr;
    char* end_ = nullptr;
    int file_ = -1;
};

}  // namespace trireme::emulated
