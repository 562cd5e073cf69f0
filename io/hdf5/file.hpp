// HDF5 files, data sets and attributes as the formats of this box use them: little-endian numbers and
// fixed-length UTF-8 text, no object times (so that equal contents are equal bytes), and no file locks.
//
// Locks: HDF5 1.10 locks files with flock, which fails or hangs on network file systems (errno 37, 524), even
// for reading. H5Pset_file_locking turns that off file by file, so the process-wide HDF5_USE_FILE_LOCKING is
// left alone. What is written here is written to a temporary folder by one process a file, and renamed when
// done: there is nothing to lock against.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/hdf5/handle.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"

namespace trireme::io::hdf5 {

/// The attributes of one object. Reading checks kind and size before anything is allocated.
class Attributes {
  public:
    Attributes(hid_t object, Place place) : object_(object), place_(std::move(place)) {}

    void put_text(const std::string& name, const std::string& value) const;
    void put_texts(const std::string& name, const std::vector<std::string>& values) const;
    void put_int(const std::string& name, std::int64_t value) const;
    void put_unsigned(const std::string& name, std::uint64_t value) const;
    void put_ints(const std::string& name, const std::vector<std::int64_t>& values) const;
    void put_doubles(const std::string& name, const std::vector<double>& values) const;

    [[nodiscard]] bool has(const std::string& name) const;
    [[nodiscard]] std::string text(const std::string& name) const;
    [[nodiscard]] std::vector<std::string> texts(const std::string& name) const;
    [[nodiscard]] std::int64_t integer(const std::string& name) const;
    [[nodiscard]] std::uint64_t unsigned_integer(const std::string& name) const;
    [[nodiscard]] std::vector<std::int64_t> ints(const std::string& name) const;
    [[nodiscard]] std::vector<double> doubles(const std::string& name) const;

  private:
    [[nodiscard]] Place at(const std::string& name) const;
    void put(const std::string& name, hid_t type, hid_t space, const void* data) const;
    [[nodiscard]] Handle open(const std::string& name) const;
    /// Elements of an attribute of the wanted class, bounded.
    [[nodiscard]] std::size_t count(hid_t attribute, const std::string& name, H5T_class_t wanted) const;

    hid_t object_;
    Place place_;
};

/// Where one chunk's bytes are in the file.
struct StoredChunk {
    std::int64_t offset = 0;
    std::int64_t bytes = 0;
    bool deflated = false;
};

class Dataset {
  public:
    Dataset(Handle handle, Place place) : handle_(std::move(handle)), place_(std::move(place)) {}

    [[nodiscard]] const Place& place() const { return place_; }
    [[nodiscard]] Attributes attributes() const { return {handle_.id(), place_}; }
    [[nodiscard]] std::vector<std::int64_t> dims() const;
    /// Extents of a chunk; empty for a contiguous data set.
    [[nodiscard]] std::vector<std::int64_t> chunk_dims() const;
    /// The type of the elements; one that the runtime does not know is a DataError. Numbers of bf16 look like
    /// u16: who stores them says so in an attribute.
    [[nodiscard]] DType dtype() const;
    /// Offsets of all chunks along axis 0, in order. Only deflate is accepted as a filter; each range is
    /// checked against `file_bytes`.
    [[nodiscard]] std::vector<StoredChunk> chunks(std::int64_t file_bytes) const;
    /// Offset of a contiguous data set with allocated space.
    [[nodiscard]] std::int64_t contiguous_offset() const;

    /// Stores chunk `index` (along axis 0) as it is given; `deflated` says that the bytes are a zlib stream.
    void write_chunk(std::int64_t index, std::span<const std::byte> bytes, bool deflated) const;
    [[nodiscard]] std::vector<std::uint64_t> read_u64() const;

  private:
    Handle handle_;
    Place place_;
};

/// How a chunked data set is made: rows along axis 0 are cut into chunks of `chunk_rows`.
struct ChunkedSpec {
    DType dtype = DType::u8;
    std::int64_t rows = 0;
    std::int64_t chunk_rows = 1;
    Shape row_shape;
    bool deflate = false;
};

class File {
  public:
    enum class Mode { read, update };

    /// Throws DataError telling apart: missing, not HDF5, cut short, otherwise unreadable.
    static File open(const std::filesystem::path& path, Mode mode);
    static File create(const std::filesystem::path& path);

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] Attributes attributes() const { return {handle_.id(), {path_, ""}}; }
    [[nodiscard]] hid_t id() const { return handle_.id(); }
    [[nodiscard]] bool has(const std::string& name) const;
    [[nodiscard]] Dataset open_dataset(const std::string& name) const;
    void create_group(const std::string& name) const;
    [[nodiscard]] Dataset create_chunked(const std::string& name, const ChunkedSpec& spec) const;
    /// Contiguous, its space allocated at once, its bytes to be written by pwrite.
    [[nodiscard]] Dataset create_contiguous(const std::string& name, DType dtype, const Shape& shape) const;
    void write_u64(const std::string& name, std::span<const std::uint64_t> values) const;
    /// Writes what is buffered and closes. Data sets and attributes must be gone.
    void close();

  private:
    File(Handle handle, std::filesystem::path path) : handle_(std::move(handle)), path_(std::move(path)) {}
    Handle handle_;
    std::filesystem::path path_;
};

}  // namespace trireme::io::hdf5
