// The error classes of the runtime. Each has the exit code that scripts rely on; the message says what is
// wrong, where (file, line, key, block, rank) and, where one is known, the remedy.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace trireme {

enum class ErrorClass { config, data, device, comm_timeout, peer_lost, numeric, integrity, internal };

/// "ConfigError", "DataError", ... as users read it.
[[nodiscard]] std::string_view name_of(ErrorClass cls);
/// The process exit code of a class: 2, 3, 4, 5, 6, 7, 9, 70.
[[nodiscard]] int exit_code_of(ErrorClass cls);
/// Exit code of a job that was stopped by a signal after saving.
inline constexpr int exit_code_requeue = 8;

class Error : public std::runtime_error {
  public:
    Error(ErrorClass cls, const std::string& message) : std::runtime_error(message), class_(cls) {}
    [[nodiscard]] ErrorClass error_class() const { return class_; }
    [[nodiscard]] int exit_code() const { return exit_code_of(class_); }

  private:
    ErrorClass class_;
};

/// One subclass an error class, so that callers can catch what they can handle.
template <ErrorClass C>
class ErrorOf : public Error {
  public:
    explicit ErrorOf(const std::string& message) : Error(C, message) {}
};

using ConfigError = ErrorOf<ErrorClass::config>;
using DataError = ErrorOf<ErrorClass::data>;
using DeviceError = ErrorOf<ErrorClass::device>;
using CommTimeout = ErrorOf<ErrorClass::comm_timeout>;
using PeerLost = ErrorOf<ErrorClass::peer_lost>;
using NumericError = ErrorOf<ErrorClass::numeric>;
using IntegrityError = ErrorOf<ErrorClass::integrity>;
using InternalError = ErrorOf<ErrorClass::internal>;

/// Throws InternalError when an invariant of our own does not hold. For mistakes of the user throw the right
/// class.
inline void ensure(bool holds, std::string_view what) {
    if (!holds) throw InternalError("invariant broken: " + std::string(what));
}

}  // namespace trireme
