#include "io/checkpoint/index.hpp"
#include "io/checkpoint/slice.hpp"
#include "io/hdf5/file.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

std::string dataset_name(std::size_t number) { return fmt::format("/slice-{:05}", number); }

/// Extents of the data set of a slice: the box where the slice is all of it, else a plain list.
Shape stored_shape(const SliceSpec& spec) {
    const Shape box(spec.box_extent);
    return slice_elements(spec) == box.elements().value ? box : Shape{slice_elements(spec)};
}

void put_spec(const hdf5::Attributes& attributes, const SliceSpec& spec, std::uint64_t checksum) {
    attributes.put_text("name", spec.name);
    attributes.put_text("dtype", std::string(name_of(spec.dtype)));
    attributes.put_ints("shape", spec.global_shape.dims());
    attributes.put_ints("offset", spec.box_offset);
    attributes.put_ints("extent", spec.box_extent);
    attributes.put_ints("flat", {spec.flat.begin, spec.flat.end});
    attributes.put_unsigned("xxh3", checksum);
}

/// Makes the HDF5 file with all data sets and attributes, and returns where the bytes of each slice go.
std::vector<std::int64_t> allocate_part(const fs::path& path, const std::vector<const SavedSlice*>& slices) {
    hdf5::File file = hdf5::File::create(path);
    file.attributes().put_text("format", std::string(checkpoint_format_name));
    file.attributes().put_int("schema", checkpoint_schema);
    file.attributes().put_int("slices", static_cast<std::int64_t>(slices.size()));
    std::vector<std::int64_t> offsets;
    for (std::size_t i = 0; i < slices.size(); ++i) {
        const SavedSlice& slice = *slices[i];
        const hdf5::Dataset set =
            file.create_contiguous(dataset_name(i), slice.spec.dtype, stored_shape(slice.spec));
        put_spec(set.attributes(), slice.spec, xxh3(slice.data.data(), slice.data.size()));
        offsets.push_back(slice.data.empty() ? 0 : set.contiguous_offset());
    }
    file.close();
    return offsets;
}

void require_valid(const SavedSlice& slice) {
    const std::string problem = slice_problem(slice.spec);
    ensure(problem.empty(), fmt::format("slice of {} to save: {}", slice.spec.name, problem));
    ensure(static_cast<std::int64_t>(slice.data.size()) == slice_bytes(slice.spec),
           fmt::format("slice of {} to save: has {} bytes of {}", slice.spec.name, slice.data.size(),
                       slice_bytes(slice.spec)));
}

/// Every element of every tensor must be saved exactly once.
void require_complete(const std::vector<StoredSlice>& slices) {
    std::map<std::string, std::vector<const SliceSpec*>> tensors;
    for (const StoredSlice& slice : slices) tensors[slice.spec.name].push_back(&slice.spec);
    for (const auto& [name, parts] : tensors) {
        std::int64_t elements = 0;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            ensure(parts[i]->global_shape == parts[0]->global_shape && parts[i]->dtype == parts[0]->dtype,
                   fmt::format("the slices of {} agree about its shape and dtype", name));
            elements += slice_elements(*parts[i]);
            for (std::size_t j = 0; j < i; ++j) {
                for_shared_stretches(*parts[i], *parts[j], [&](const SharedStretch&) {
                    throw InternalError(fmt::format("checkpoint: {} is saved twice in part", name));
                });
            }
        }
        ensure(elements == parts[0]->global_shape.elements().value,
               fmt::format("the slices of {} hold {} of its {} elements", name, elements,
                           parts[0]->global_shape.elements().value));
    }
}

/// Removes what an earlier attempt left in the temporary folder.
void remove_strangers(const fs::path& folder, const CheckpointIndex& index) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        const bool ours = std::any_of(index.files.begin(), index.files.end(),
                                      [&](const StoredFile& file) { return file.name == name; });
        if (!ours) fs::remove_all(entry.path());
    }
}

/// Where a checkpoint of the same step (of a job that was resumed before it) waits until its successor is
/// DONE.
fs::path aside_of(const fs::path& folder) {
    return folder.parent_path() / (".old-" + folder.filename().string());
}

}  // namespace

std::vector<StoredSlice> read_part_slices(const fs::path& path) {
    const hdf5::Guard guard;
    const hdf5::File file = hdf5::File::open(path, hdf5::File::Mode::read);
    const std::int64_t count = file.attributes().integer("slices");
    std::vector<StoredSlice> slices;
    for (std::int64_t i = 0; i < count; ++i) {
        const hdf5::Dataset set = file.open_dataset(dataset_name(static_cast<std::size_t>(i)));
        const hdf5::Attributes attributes = set.attributes();
        StoredSlice slice;
        slice.dataset = dataset_name(static_cast<std::size_t>(i));
        slice.spec.name = attributes.text("name");
        slice.spec.global_shape = Shape(attributes.ints("shape"));
        slice.spec.box_offset = attributes.ints("offset");
        slice.spec.box_extent = attributes.ints("extent");
        const std::vector<std::int64_t> flat = attributes.ints("flat");
        ensure(flat.size() == 2, "a range has two ends");
        slice.spec.flat = {flat[0], flat[1]};
        slice.spec.dtype = attributes.text("dtype") == name_of(DType::bf16) ? DType::bf16 : set.dtype();
        slice.xxh3 = attributes.unsigned_integer("xxh3");
        slice.offset = slice.spec.flat.empty() ? 0 : set.contiguous_offset();
        slices.push_back(std::move(slice));
    }
    return slices;
}

void write_part(const fs::path& dir, std::int64_t step, int rank, std::span<const SavedSlice> slices) {
    const fs::path folder = temporary_step_folder(dir, step);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        throw DataError(fmt::format("{}: cannot create the folder: {}: check job.output", folder.string(),
                                    error.message()));
    }
    std::vector<const SavedSlice*> kept;
    for (const SavedSlice& slice : slices) {
        require_valid(slice);
        if (slice.spec.replica == 0) kept.push_back(&slice);
    }
    const fs::path path = folder / part_file_name(rank);
    const std::vector<std::int64_t> offsets = allocate_part(path, kept);
    const PosixFile file(path, PosixFile::Mode::write);
    for (std::size_t i = 0; i < kept.size(); ++i) file.write_at(kept[i]->data, offsets[i]);
    file.sync();
}

fs::path commit(const fs::path& dir, std::int64_t step, int ranks, const CheckpointMeta& meta) {
    const fs::path folder = temporary_step_folder(dir, step);
    CheckpointIndex index;
    index.step = step;
    index.meta = meta;
    for (int rank = 0; rank < ranks; ++rank) {
        const fs::path path = folder / part_file_name(rank);
        for (StoredSlice& slice : read_part_slices(path)) {
            slice.file = static_cast<std::size_t>(rank);
            index.slices.push_back(std::move(slice));
        }
        index.files.push_back({part_file_name(rank), static_cast<std::int64_t>(fs::file_size(path))});
    }
    require_complete(index.slices);
    remove_strangers(folder, index);
    const std::string text = index_text(index);
    write_text_file(folder / index_file_name, text);
    sync_folder(folder);
    const fs::path final_folder = step_folder(dir, step);
    const fs::path aside = aside_of(final_folder);
    fs::remove_all(aside);
    if (fs::exists(final_folder)) fs::rename(final_folder, aside);
    fs::rename(folder, final_folder);
    sync_folder(dir);
    write_text_file(final_folder / done_file_name, done_text(text));
    sync_folder(final_folder);
    fs::remove_all(aside);
    return final_folder;
}

}  // namespace trireme::io
