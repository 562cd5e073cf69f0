#include <cstring>

#include "io/checkpoint/index.hpp"
#include "io/checkpoint/slice.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

/// The bytes of a saved slice, verified.
void read_verified(const fs::path& folder, const CheckpointIndex& index, const StoredSlice& slice,
                   std::span<std::byte> out) {
    const PosixFile file(folder / index.files[slice.file].name, PosixFile::Mode::read);
    file.read_at(out, slice.offset);
    const std::uint64_t found = xxh3(out.data(), out.size());
    if (found == slice.xxh3) return;
    throw DataError(
        fmt::format("{}: {} of {}: checksum {} stored, {} computed: the file is damaged; resume from "
                    "another checkpoint",
                    file.path().string(), slice.dataset, slice.spec.name, hex64(slice.xxh3), hex64(found)));
}

bool same_elements(const SliceSpec& a, const SliceSpec& b) {
    return a.box_offset == b.box_offset && a.box_extent == b.box_extent && a.flat == b.flat;
}

}  // namespace

std::int64_t step_of_folder(const fs::path& folder) {
    const std::string name = folder.filename().string();
    if (!name.starts_with("step-")) return -1;
    return parse_integer(std::string_view(name).substr(5)).value_or(-1);
}

struct CheckpointReader::State {
    fs::path folder;
    CheckpointIndex index;
    std::vector<SliceSpec> slices;
};

CheckpointReader::CheckpointReader(const fs::path& folder) : state_(std::make_unique<State>()) {
    state_->folder = folder;
    state_->index = open_checkpoint(folder.filename().empty() ? folder.parent_path() : folder);
    for (const StoredSlice& slice : state_->index.slices) state_->slices.push_back(slice.spec);
}

CheckpointReader::~CheckpointReader() = default;
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;
CheckpointReader& CheckpointReader::operator=(CheckpointReader&&) noexcept = default;

std::int64_t CheckpointReader::step() const { return state_->index.step; }
const CheckpointMeta& CheckpointReader::meta() const { return state_->index.meta; }
const std::vector<SliceSpec>& CheckpointReader::slices() const { return state_->slices; }

void CheckpointReader::read(const SliceSpec& wanted, std::span<std::byte> out) const {
    const std::string problem = slice_problem(wanted);
    ensure(problem.empty(), fmt::format("slice of {} to read: {}", wanted.name, problem));
    ensure(static_cast<std::int64_t>(out.size()) == slice_bytes(wanted), "room for the slice to read");
    const std::int64_t width = size_of(wanted.dtype);
    std::int64_t filled = 0;
    bool known = false;
    std::vector<std::byte> buffer;
    for (const StoredSlice& saved : state_->index.slices) {
        if (saved.spec.name != wanted.name) continue;
        known = true;
        if (saved.spec.global_shape != wanted.global_shape || saved.spec.dtype != wanted.dtype) {
            throw DataError(
                fmt::format("{}: {} is {} of {} there, and {} of {} is wanted: it is of another model",
                            state_->folder.string(), wanted.name, saved.spec.global_shape.str(),
                            name_of(saved.spec.dtype), wanted.global_shape.str(), name_of(wanted.dtype)));
        }
        if (same_elements(saved.spec, wanted)) {
            read_verified(state_->folder, state_->index, saved, out);
            return;
        }
        // A slice that shares nothing with what is wanted is not read at all.
        bool loaded = false;
        for_shared_stretches(wanted, saved.spec, [&](const SharedStretch& stretch) {
            if (!loaded) {
                buffer.resize(static_cast<std::size_t>(slice_bytes(saved.spec)));
                read_verified(state_->folder, state_->index, saved, buffer);
                loaded = true;
            }
            std::memcpy(out.data() + stretch.a * width, buffer.data() + stretch.b * width,
                        static_cast<std::size_t>(stretch.count * width));
            filled += stretch.count;
        });
    }
    if (!known) {
        throw DataError(fmt::format("{}: has no tensor {}: it is of another model", state_->folder.string(),
                                    wanted.name));
    }
    if (filled != slice_elements(wanted)) {
        throw DataError(
            fmt::format("{}: has {} of the {} elements of {} that are wanted: its index is damaged",
                        state_->folder.string(), filled, slice_elements(wanted), wanted.name));
    }
}

std::vector<fs::path> completed_checkpoints(const fs::path& dir) {
    std::vector<std::pair<std::int64_t, fs::path>> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(dir, error)) {
        const std::int64_t step = step_of_folder(entry.path());
        if (step >= 0 && fs::exists(entry.path() / done_file_name)) found.emplace_back(step, entry.path());
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<fs::path> folders;
    for (auto& [step, path] : found) folders.push_back(std::move(path));
    return folders;
}

}  // namespace trireme::io
