#include "io/hdf5/handle.hpp"

#include "runtime/core/error.hpp"

namespace trireme::io::hdf5 {
namespace {

/// The lock of a library that is itself one per process.
std::recursive_mutex& library_mutex() {
    static std::recursive_mutex mutex;
    return mutex;
}

herr_t keep_innermost(unsigned position, const H5E_error2_t* error, void* text) {
    if (position == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
    return 0;
}

std::string innermost_reason() {
    std::string reason;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &reason);
    return reason.empty() ? "HDF5 gives no reason" : reason;
}

}  // namespace

Guard::Guard() : lock_(library_mutex()) {
    H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Guard::~Guard() { H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_); }

Handle::~Handle() {
    if (id_ < 0) return;
    const Guard guard;
    H5Idec_ref(id_);
}

std::string Place::str() const { return object.empty() ? file.string() : file.string() + ": " + object; }

void fail(const Place& place, std::string_view doing) {
    throw DataError(fmt::format("{}: cannot {}: {}", place.str(), doing, innermost_reason()));
}

}  // namespace trireme::io::hdf5
