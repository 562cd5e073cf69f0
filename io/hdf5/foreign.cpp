#include "io/hdf5/foreign.hpp"

#include "io/hdf5/types.hpp"
#include "io/shard_format.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io::hdf5 {
namespace {

// Samples are asked for in mixed order; chunks that are compressed are worth keeping.
constexpr std::size_t chunk_cache_bytes = std::size_t{256} << 20;
constexpr std::size_t chunk_cache_slots = 12'421;
constexpr double forget_read_chunks_first = 1.0;
constexpr std::size_t max_listed = 32;
constexpr std::int64_t max_rows = std::int64_t{1} << 40;
// A chunk is unpacked whole, whatever the file's size is.
constexpr hsize_t max_chunk_elements = hsize_t{1} << 28;

herr_t list_dataset(hid_t, const char* name, const H5O_info_t* info, void* list) {
    auto& names = *static_cast<std::vector<std::string>*>(list);
    if (info->type == H5O_TYPE_DATASET) names.push_back(std::string("/") + name);
    return names.size() >= max_listed ? 1 : 0;
}

[[noreturn]] void no_such_dataset(const File& file, const std::string& name) {
    std::vector<std::string> names;
    H5Ovisit2(file.id(), H5_INDEX_NAME, H5_ITER_INC, list_dataset, &names, H5O_INFO_BASIC);
    throw DataError(fmt::format(
        "{}: has no data set {}{}; it has {}", file.path().string(), name, did_you_mean(name, names),
        names.empty() ? std::string("none") : fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

ForeignDataset::ForeignDataset(const File& file, const std::string& name)
    : place_{file.path(), name.starts_with('/') ? name : "/" + name} {
    const Guard guard;
    if (name.empty() || place_.object == "/" || !file.has(place_.object))
        no_such_dataset(file, place_.object);
    const Handle access = own(H5Pcreate(H5P_DATASET_ACCESS), place_, "make access properties");
    check(H5Pset_chunk_cache(access.id(), chunk_cache_slots, chunk_cache_bytes, forget_read_chunks_first),
          place_, "set the cache");
    const hid_t id = H5Dopen2(file.id(), place_.object.c_str(), access.id());
    if (id < 0) no_such_dataset(file, place_.object);
    handle_ = Handle(id);
    read_kind();
    read_extents();
}

void ForeignDataset::read_kind() {
    const Handle type = own(H5Dget_type(handle_.id()), place_, "read its type");
    const H5T_class_t of = H5Tget_class(type.id());
    // h5py stores truth values as an enumeration of bytes.
    const bool truth = of == H5T_ENUM && H5Tget_size(type.id()) == 1;
    if (of != H5T_INTEGER && of != H5T_FLOAT && !truth) {
        throw DataError(fmt::format(
            "{}: has elements that are neither integers nor floats: store numbers there", place_.str()));
    }
    kind_ = of == H5T_FLOAT ? Kind::real : Kind::integer;
    is_bytes_ = H5Tequal(type.id(), H5T_NATIVE_UINT8) > 0;
}

void ForeignDataset::read_extents() {
    const Handle space = own(H5Dget_space(handle_.id()), place_, "read its extent");
    hsize_t extents[H5S_MAX_RANK] = {};
    rank_ = check(H5Sget_simple_extent_dims(space.id(), extents, nullptr), place_, "read its extent");
    std::vector<std::int64_t> row;
    std::int64_t elements = 1;
    for (int axis = 1; axis < rank_; ++axis) {
        if (extents[axis] < 1 || extents[axis] > static_cast<hsize_t>(max_sample_bytes / elements)) {
            throw DataError(fmt::format("{}: has rows of an impossible size: axis {} has {} entries",
                                        place_.str(), axis, extents[axis]));
        }
        row.push_back(static_cast<std::int64_t>(extents[axis]));
        elements *= row.back();
    }
    if (rank_ < 1 || extents[0] > static_cast<hsize_t>(max_rows)) {
        throw DataError(fmt::format("{}: has no rows: its first axis must count the samples", place_.str()));
    }
    rows_ = static_cast<std::int64_t>(extents[0]);
    row_shape_ = row.empty() ? Shape{1} : Shape(row);
    const Handle creation = own(H5Dget_create_plist(handle_.id()), place_, "read its layout");
    if (H5Pget_layout(creation.id()) != H5D_CHUNKED) return;
    check(H5Pget_chunk(creation.id(), H5S_MAX_RANK, extents), place_, "read its chunks");
    hsize_t chunk = 1;
    for (int axis = 0; axis < rank_; ++axis) {
        if (extents[axis] < 1 || extents[axis] > max_chunk_elements / chunk) {
            throw DataError(fmt::format("{}: has chunks of more than {} elements: store it in smaller ones",
                                        place_.str(), max_chunk_elements));
        }
        chunk *= extents[axis];
    }
}

void ForeignDataset::read(std::int64_t first, std::int64_t count, DType as, std::span<std::byte> out) const {
    const Guard guard;
    ensure(first >= 0 && count >= 0 && first + count <= rows_, "rows of a data set");
    ensure(static_cast<std::int64_t>(out.size()) == count * row_shape_.elements().value * size_of(as),
           "room for the rows");
    if (count == 0) return;
    hsize_t start[H5S_MAX_RANK] = {static_cast<hsize_t>(first)};
    hsize_t extent[H5S_MAX_RANK] = {static_cast<hsize_t>(count)};
    for (int axis = 1; axis < rank_; ++axis) extent[axis] = static_cast<hsize_t>(row_shape_[axis - 1]);
    const Handle space = own(H5Dget_space(handle_.id()), place_, "read its extent");
    check(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start, nullptr, extent, nullptr), place_,
          "select its rows");
    const Handle memory = own(H5Screate_simple(rank_, extent, nullptr), place_, "make a data space");
    check(H5Dread(handle_.id(), type_of(as).id(), memory.id(), space.id(), H5P_DEFAULT, out.data()), place_,
          fmt::format("read rows {} to {}", first, first + count - 1));
}

}  // namespace trireme::io::hdf5
