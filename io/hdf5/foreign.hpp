// Data sets of HDF5 files that others wrote: any layout and any filter that the library knows, read by
// hyperslabs of whole rows. Thread-safe: the library is entered by one thread at a time.
#pragma once

#include "io/hdf5/file.hpp"

namespace trireme::io::hdf5 {

class ForeignDataset {
  public:
    enum class Kind { integer, real };

    /// Throws DataError where the file has no such data set (naming those it has), or where its elements are
    /// neither integers, truth values nor floats.
    ForeignDataset(const File& file, const std::string& name);

    [[nodiscard]] const Place& place() const { return place_; }
    [[nodiscard]] Kind kind() const { return kind_; }
    /// Unsigned bytes, which are taken for pixels.
    [[nodiscard]] bool is_bytes() const { return is_bytes_; }
    /// Rows, and the shape of one; a scalar a row is {1}.
    [[nodiscard]] std::int64_t rows() const { return rows_; }
    [[nodiscard]] const Shape& row_shape() const { return row_shape_; }
    /// Number of axes in the file, the rows' among them.
    [[nodiscard]] int rank() const { return rank_; }
    /// Reads rows `first` to `first` + `count` - 1, converted to `as` (u8, i64 or f32), which fill `out`
    /// exactly.
    void read(std::int64_t first, std::int64_t count, DType as, std::span<std::byte> out) const;

  private:
    void read_extents();
    void read_kind();

    Place place_;
    Handle handle_;
    Kind kind_ = Kind::real;
    bool is_bytes_ = false;
    int rank_ = 0;
    std::int64_t rows_ = 0;
    Shape row_shape_;
};

}  // namespace trireme::io::hdf5
