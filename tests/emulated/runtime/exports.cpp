// Device memory between processes: a handle names a process, its file and a place there, and a slot of its
// table that tells whether the allocation is still there and how many have it open.
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tests/emulated/runtime/memory.hpp"
#include "tests/emulated/runtime/pages.hpp"

namespace trireme::emulated {
namespace {

constexpr std::uint64_t mark_of_exports = 0x54524952454d4531ULL;

/// Null where there is none.
ExportTable* table_of(int file) {
    void* at = ::mmap(nullptr, sizeof(ExportTable), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return at == MAP_FAILED ? nullptr : static_cast<ExportTable*>(at);
}

}  // namespace

Export Memory::exported(Range& range) {
    ExportTable& mine = table();
    if (range.slot < 0) {
        std::size_t free = 0;
        while (free < ExportTable::slots && (mine.slot[free].id != 0 || mine.slot[free].open != 0)) ++free;
        if (free == ExportTable::slots) die("exporting memory: too many exports");
        range.slot = static_cast<int>(free);
        mine.slot[free].id = ++mine.ids;
    }
    return {.mark = mark_of_exports,
            .process = ::getpid(),
            .file = file_,
            .slot = range.slot,
            .device = range.device,
            .offset = static_cast<std::uint64_t>(range.base - begin_),
            .size = range.size,
            .id = mine.slot[range.slot].id};
}

bool Memory::is_own(const Export& exported) const {
    return exported.mark == mark_of_exports && exported.process == ::getpid();
}

bool Memory::open_elsewhere(const Range& range) const {
    return range.slot >= 0 && table().slot[range.slot].open > 0;
}

Range* Memory::import(const Export& theirs, std::string& why) {
    if (theirs.mark != mark_of_exports) {
        why = "this is no handle of an export";
        return nullptr;
    }
    for (auto& [end, range] : ranges_) {
        if (range.kind != Kind::imported || range.exporter != theirs.process || range.export_id != theirs.id)
            continue;
        ++range.opened;
        return &range;
    }
    const int file =
        ::open(fmt::format("/proc/{}/fd/{}", theirs.process, theirs.file).c_str(), O_RDWR | O_CLOEXEC);
    ExportTable* table = file < 0 ? nullptr : table_of(file);
    Range* range = nullptr;
    if (table == nullptr) {
        why = fmt::format("process {}, which exported the memory, has gone", theirs.process);
    } else if (table->slot[theirs.slot].id != theirs.id) {
        why = fmt::format("process {} has freed the memory that it exported", theirs.process);
        ::munmap(table, sizeof(ExportTable));
    } else {
        range = map_import(theirs, file, *table);
    }
    if (file >= 0) static_cast<void>(::close(file));
    return range;
}

Range* Memory::map_import(const Export& theirs, int file, ExportTable& table) {
    ++table.slot[theirs.slot].open;
    Range range{.kind = Kind::imported, .device = theirs.device, .size = theirs.size, .slot = theirs.slot};
    range.opened = 1;
    range.exporter = theirs.process;
    range.export_id = theirs.id;
    range.table = &table;
    const std::uint64_t first = theirs.offset / page * page;
    range.map_size = rounded(theirs.offset + theirs.size - first, page);
    range.map = reserve(range.map_size);
    range.base = range.map + (theirs.offset - first);
    if (deceived_) {
        map_over(range.map, range.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    } else {
        map_over(range.map, range.map_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, first);
    }
    return &(ranges_[range.base + range.size] = range);
}

void Memory::close(Range& range) {
    if (--range.opened > 0) return;
    --range.table->slot[range.slot].open;
    ::munmap(range.table, sizeof(ExportTable));
    release(range);
}

}  // namespace trireme::emulated
