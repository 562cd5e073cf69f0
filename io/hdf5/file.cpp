#include "io/hdf5/file.hpp"

#include "io/hdf5/types.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io::hdf5 {
namespace {

constexpr int deflate_level = 6;

/// Access without locks, closing everything with the file. The 1.10 layout: checksummed metadata, and an
/// array rather than a tree as index of the chunks.
Handle file_access(const Place& place) {
    Handle access = own(H5Pcreate(H5P_FILE_ACCESS), place, "make access properties");
    check(H5Pset_file_locking(access.id(), false, true), place, "turn file locks off");
    check(H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG), place, "set how it closes");
    check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), place, "set the file layout");
    return access;
}

/// Creation properties of a file, group or data set, without times.
Handle creation(hid_t kind, const Place& place) {
    Handle list = own(H5Pcreate(kind), place, "make creation properties");
    check(H5Pset_obj_track_times(list.id(), false), place, "turn object times off");
    return list;
}

Handle space_of(const std::vector<hsize_t>& dims, const std::vector<hsize_t>& limits, const Place& place) {
    return own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), limits.data()), place,
               "make a data space");
}

void require_exists(const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return;
    throw DataError(fmt::format(
        "{}: there is no such file: check the path, copy the missing file, or import again", path.string()));
}

}  // namespace

File File::open(const std::filesystem::path& path, Mode mode) {
    const Guard guard;
    require_exists(path);
    const Place place{path, ""};
    const Handle access = file_access(place);
    const hid_t id = H5Fopen(path.c_str(), mode == Mode::read ? H5F_ACC_RDONLY : H5F_ACC_RDWR, access.id());
    if (id >= 0) return {Handle(id), path};
    try {
        fail(place, "open it as an HDF5 file");
    } catch (const DataError& error) {
        const std::string text = error.what();
        if (text.find("truncated") != std::string::npos) {
            throw DataError(text + ": the file is cut short; copy it or import it again");
        }
        if (text.find("signature") != std::string::npos) {
            throw DataError(fmt::format("{}: is not an HDF5 file at all; check the path, or import again",
                                        path.string()));
        }
        throw DataError(text + ": the file is damaged; copy it or import it again");
    }
}

File File::create(const std::filesystem::path& path) {
    const Guard guard;
    const Place place{path, ""};
    const Handle access = file_access(place);
    const Handle plain = creation(H5P_FILE_CREATE, place);
    Handle id =
        own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, plain.id(), access.id()), place, "create the file");
    return {std::move(id), path};
}

bool File::has(const std::string& name) const {
    const Guard guard;
    // Each part of the name is asked for alone: HDF5 takes a missing parent for an error.
    for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
        if (H5Lexists(handle_.id(), name.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
        if (end == std::string::npos) return true;
    }
}

Dataset File::open_dataset(const std::string& name) const {
    const Guard guard;
    const Place place{path_, name};
    if (!has(name)) {
        throw DataError(
            fmt::format("{}: is missing: the file is damaged or not one of ours; import again", place.str()));
    }
    return {own(H5Dopen2(handle_.id(), name.c_str(), H5P_DEFAULT), place, "open it"), place};
}

void File::create_group(const std::string& name) const {
    const Guard guard;
    const Place place{path_, name};
    const Handle plain = creation(H5P_GROUP_CREATE, place);
    const Handle group = own(H5Gcreate2(handle_.id(), name.c_str(), H5P_DEFAULT, plain.id(), H5P_DEFAULT),
                             place, "create the group");
}

Dataset File::create_chunked(const std::string& name, const ChunkedSpec& spec) const {
    const Guard guard;
    const Place place{path_, name};
    std::vector<hsize_t> dims{static_cast<hsize_t>(spec.rows)};
    // The largest extent is a whole number of chunks, since HDF5 wants chunks no larger than a fixed extent.
    const std::int64_t chunks =
        std::max<std::int64_t>(1, (spec.rows + spec.chunk_rows - 1) / spec.chunk_rows);
    std::vector<hsize_t> limits{static_cast<hsize_t>(chunks * spec.chunk_rows)};
    std::vector<hsize_t> chunk{static_cast<hsize_t>(spec.chunk_rows)};
    for (const std::int64_t extent : spec.row_shape.dims()) {
        dims.push_back(static_cast<hsize_t>(extent));
        limits.push_back(dims.back());
        chunk.push_back(dims.back());
    }
    const Handle plain = creation(H5P_DATASET_CREATE, place);
    check(H5Pset_chunk(plain.id(), static_cast<int>(chunk.size()), chunk.data()), place, "set the chunks");
    check(H5Pset_fill_time(plain.id(), H5D_FILL_TIME_NEVER), place, "turn filling off");
    if (spec.deflate) check(H5Pset_deflate(plain.id(), deflate_level), place, "set deflate");
    const Handle space = space_of(dims, limits, place);
    return {own(H5Dcreate2(handle_.id(), name.c_str(), type_of(spec.dtype).id(), space.id(), H5P_DEFAULT,
                           plain.id(), H5P_DEFAULT),
                place, "create the data set"),
            place};
}

Dataset File::create_contiguous(const std::string& name, DType dtype, const Shape& shape) const {
    const Guard guard;
    const Place place{path_, name};
    std::vector<hsize_t> dims(1, 1);
    if (shape.rank() > 0) dims.assign(shape.dims().begin(), shape.dims().end());
    const Handle plain = creation(H5P_DATASET_CREATE, place);
    check(H5Pset_layout(plain.id(), H5D_CONTIGUOUS), place, "set the layout");
    check(H5Pset_alloc_time(plain.id(), H5D_ALLOC_TIME_EARLY), place, "set when space is taken");
    check(H5Pset_fill_time(plain.id(), H5D_FILL_TIME_NEVER), place, "turn filling off");
    const Handle space = space_of(dims, dims, place);
    return {own(H5Dcreate2(handle_.id(), name.c_str(), type_of(dtype).id(), space.id(), H5P_DEFAULT,
                           plain.id(), H5P_DEFAULT),
                place, "create the data set"),
            place};
}

void File::write_u64(const std::string& name, std::span<const std::uint64_t> values) const {
    const Guard guard;
    const Place place{path_, name};
    const std::vector<hsize_t> dims{values.size()};
    const Handle plain = creation(H5P_DATASET_CREATE, place);
    const Handle space = space_of(dims, dims, place);
    const Handle set = own(H5Dcreate2(handle_.id(), name.c_str(), H5T_STD_U64LE, space.id(), H5P_DEFAULT,
                                      plain.id(), H5P_DEFAULT),
                           place, "create the data set");
    if (values.empty()) return;
    check(H5Dwrite(set.id(), H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), place,
          "write it");
}

void File::close() {
    const Guard guard;
    const Place place{path_, ""};
    check(H5Fflush(handle_.id(), H5F_SCOPE_LOCAL), place, "write its metadata (is there space left?)");
    handle_ = Handle();
}

}  // namespace trireme::io::hdf5
