// The ground that every use of HDF5 here stands on: one thread inside the library at a time, identifiers that
// close themselves, and its errors as DataErrors.
//
// HDF5 is not safe for threads in most builds, and its identifiers, caches and error stack are global to the
// process. So every function of io/hdf5 holds a `Guard`: whoever holds it is, for that time, the one thread
// that calls HDF5. Sample bytes do not pass through the library (chunks are read by pread), so the guard is
// held for opening and closing only.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include <hdf5.h>

namespace trireme::io::hdf5 {

/// Entry to the library: excludes other threads and keeps HDF5 from printing its error stack, until
/// destroyed. May be nested in one thread.
class Guard {
  public:
    Guard();
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

  private:
    std::unique_lock<std::recursive_mutex> lock_;
    H5E_auto2_t printer_ = nullptr;
    void* printer_data_ = nullptr;
};

/// Owns one HDF5 identifier of any kind. Move-only.
class Handle {
  public:
    Handle() = default;
    explicit Handle(hid_t id) : id_(id) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(id_, other.id_);
        return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle();
    [[nodiscard]] hid_t id() const { return id_; }

  private:
    hid_t id_ = H5I_INVALID_HID;
};

/// What a message says about the place: the file, and the object inside it.
struct Place {
    std::filesystem::path file;
    std::string object;  ///< "/train/x", "attribute classes", or empty for the file as a whole
    [[nodiscard]] std::string str() const;
};

/// Throws DataError: "<file>: <object>: cannot <doing>: <HDF5's innermost reason>".
[[noreturn]] void fail(const Place& place, std::string_view doing);
/// Passes the result of an HDF5 call on, or fails when it is negative.
template <class Result>
Result check(Result result, const Place& place, std::string_view doing) {
    if (result < 0) fail(place, doing);
    return result;
}
/// The identifier of an HDF5 call, owned.
[[nodiscard]] inline Handle own(hid_t id, const Place& place, std::string_view doing) {
    return Handle(check(id, place, doing));
}

}  // namespace trireme::io::hdf5
