#include "io/hdf5/handle.hpp"

#include "runtime/core/error.hpp"

namespace trireme::io::hdf5 {
namespace {

/// The lock of a library that is itself one per process.
///
/// The first use also tells HDF5 not to clean up at exit. Every file here is closed where its work ends, so
/// there is nothing to clean; and where a close failed because the disk was full, HDF5 1.10 frees the file
/// but keeps its identifier, and its cleanup then crashes: the job would end with a signal and not with the
/// code of its error.
std::recursive_mutex& library_mutex() {
    static std::recursive_mutex mutex;
    static const herr_t no_cleanup = H5dont_atexit();
    static_cast<void>(no_cleanup);
    return mutex;
}

herr_t keep_innermost(unsigned position, const H5E_error2_t* error, void* text) {
    if (position == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
    return 0;
}

/// The reason that HDF5's stack gives, on one line. Of a failed system call it is the system's own message:
/// the rest is addresses and a clock.
std::string innermost_reason() {
    std::string reason;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &reason);
    constexpr std::string_view marker = "error message = '";
    const std::size_t message = reason.find(marker);
    if (message != std::string::npos) {
        reason = reason.substr(message + marker.size());
        reason = reason.substr(0, reason.find('\''));
    }
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    return reason.empty() ? "HDF5 gives no reason" : reason;
}

std::string remedy(const std::string& reason) {
    if (reason.find("No space left") != std::string::npos || reason.find("quota") != std::string::npos) {
        return ": free some space, or choose another place";
    }
    if (reason.find("File too large") != std::string::npos) {
        return ": raise the file size limit (ulimit -f), or use more and smaller files";
    }
    return "";
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
    const std::string reason = innermost_reason();
    throw DataError(fmt::format("{}: cannot {}: {}{}", place.str(), doing, reason, remedy(reason)));
}

}  // namespace trireme::io::hdf5
