#include "io/hdf5/file.hpp"
#include "io/hdf5/types.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io::hdf5 {
namespace {

// Blocks of one file that are accepted: 2^26 of 512 KiB are 32 TiB.
constexpr std::int64_t max_chunks = std::int64_t{1} << 26;

/// True where the data set has the deflate filter. Any other filter is refused by its number.
bool is_deflated(hid_t creation, const Place& place) {
    const int filters = check(H5Pget_nfilters(creation), place, "read its filters");
    for (int i = 0; i < filters; ++i) {
        unsigned flags = 0;
        unsigned config = 0;
        std::size_t values = 0;
        const H5Z_filter_t filter =
            H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
        if (filter != H5Z_FILTER_DEFLATE || filters != 1) {
            throw DataError(
                fmt::format("{}: is stored with filter {}, and only deflate can be read here; import "
                            "again",
                            place.str(), static_cast<int>(filter)));
        }
    }
    return filters == 1;
}

}  // namespace

std::vector<std::int64_t> Dataset::dims() const {
    const Guard guard;
    const Handle space = own(H5Dget_space(handle_.id()), place_, "read its extent");
    hsize_t extents[H5S_MAX_RANK] = {};
    const int rank =
        check(H5Sget_simple_extent_dims(space.id(), extents, nullptr), place_, "read its extent");
    return {extents, extents + rank};
}

std::vector<std::int64_t> Dataset::chunk_dims() const {
    const Guard guard;
    const Handle creation = own(H5Dget_create_plist(handle_.id()), place_, "read its layout");
    if (H5Pget_layout(creation.id()) != H5D_CHUNKED) return {};
    hsize_t extents[H5S_MAX_RANK] = {};
    const int rank = check(H5Pget_chunk(creation.id(), H5S_MAX_RANK, extents), place_, "read its chunks");
    return {extents, extents + rank};
}

DType Dataset::dtype() const {
    const Guard guard;
    const Handle type = own(H5Dget_type(handle_.id()), place_, "read its type");
    for (const DType candidate :
         {DType::u8, DType::u16, DType::i32, DType::i64, DType::f32, DType::f64, DType::f16}) {
        if (H5Tequal(type.id(), type_of(candidate).id()) > 0) return candidate;
    }
    throw DataError(
        fmt::format("{}: has an element type that the format does not know: the file is damaged or not "
                    "one of ours; import again",
                    place_.str()));
}

std::vector<StoredChunk> Dataset::chunks(std::int64_t file_bytes) const {
    const Guard guard;
    const std::vector<std::int64_t> extents = dims();
    const std::vector<std::int64_t> chunk = chunk_dims();
    ensure(!chunk.empty() && chunk.size() == extents.size() && chunk[0] > 0, "chunks of a chunked data set");
    const Handle creation = own(H5Dget_create_plist(handle_.id()), place_, "read its layout");
    const bool deflate = is_deflated(creation.id(), place_);
    const std::int64_t wanted = (extents[0] + chunk[0] - 1) / chunk[0];
    const Handle space = own(H5Dget_space(handle_.id()), place_, "read its extent");
    hsize_t stored = 0;
    check(H5Dget_num_chunks(handle_.id(), space.id(), &stored), place_, "count its chunks");
    if (wanted > max_chunks || static_cast<std::int64_t>(stored) != wanted) {
        throw DataError(
            fmt::format("{}: has {} chunks where {} rows need {}: the file is damaged; import again",
                        place_.str(), stored, extents[0], wanted));
    }
    std::vector<StoredChunk> list(static_cast<std::size_t>(wanted));
    for (hsize_t i = 0; i < stored; ++i) {
        hsize_t corner[H5S_MAX_RANK] = {};
        unsigned skipped = 0;
        haddr_t address = HADDR_UNDEF;
        hsize_t bytes = 0;
        check(H5Dget_chunk_info(handle_.id(), space.id(), i, corner, &skipped, &address, &bytes), place_,
              "find a chunk");
        const std::size_t index = corner[0] / static_cast<hsize_t>(chunk[0]);
        const bool inside =
            address != HADDR_UNDEF && bytes > 0 && static_cast<std::int64_t>(bytes) <= file_bytes &&
            static_cast<std::int64_t>(address) <= file_bytes - static_cast<std::int64_t>(bytes);
        if (index >= list.size() || list[index].bytes != 0 || !inside) {
            throw DataError(
                fmt::format("{}: chunk {} lies outside the file or is there twice: the file is damaged; "
                            "import again",
                            place_.str(), index));
        }
        list[index] = {static_cast<std::int64_t>(address), static_cast<std::int64_t>(bytes),
                       deflate && (skipped & 1U) == 0};
    }
    return list;
}

std::int64_t Dataset::contiguous_offset() const {
    const Guard guard;
    const haddr_t address = H5Dget_offset(handle_.id());
    if (address == HADDR_UNDEF) fail(place_, "find where its bytes are");
    return static_cast<std::int64_t>(address);
}

void Dataset::write_chunk(std::int64_t index, std::span<const std::byte> bytes, bool deflated) const {
    const Guard guard;
    hsize_t corner[H5S_MAX_RANK] = {};
    corner[0] = static_cast<hsize_t>(index * chunk_dims().at(0));
    // Bit 0 of the mask says that filter 0 was not applied. Without a filter the mask is 0.
    const Handle creation = own(H5Dget_create_plist(handle_.id()), place_, "read its layout");
    const unsigned mask = H5Pget_nfilters(creation.id()) > 0 && !deflated ? 1U : 0U;
    check(H5Dwrite_chunk(handle_.id(), H5P_DEFAULT, mask, corner, bytes.size(), bytes.data()), place_,
          fmt::format("write chunk {} of {} bytes", index, bytes.size()));
}

std::vector<std::uint64_t> Dataset::read_u64() const {
    const Guard guard;
    const std::vector<std::int64_t> extents = dims();
    const Handle type = own(H5Dget_type(handle_.id()), place_, "read its type");
    if (extents.size() != 1 || extents[0] > max_chunks || H5Tequal(type.id(), H5T_STD_U64LE) <= 0) {
        throw DataError(fmt::format(
            "{}: is not a list of 64-bit checksums: the file is damaged; import again", place_.str()));
    }
    std::vector<std::uint64_t> values(static_cast<std::size_t>(extents[0]));
    if (!values.empty()) {
        check(H5Dread(handle_.id(), H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), place_,
              "read it");
    }
    return values;
}

}  // namespace trireme::io::hdf5
