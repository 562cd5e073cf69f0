#include "runtime/core/error.hpp"

#include <array>
#include <utility>

namespace trireme {
namespace {

struct ClassRow {
    ErrorClass cls;
    std::string_view name;
    int exit_code;
};

constexpr std::array<ClassRow, 8> class_table{{
    {ErrorClass::config, "ConfigError", 2},
    {ErrorClass::data, "DataError", 3},
    {ErrorClass::device, "DeviceError", 4},
    {ErrorClass::comm_timeout, "CommTimeout", 5},
    {ErrorClass::peer_lost, "PeerLost", 6},
    {ErrorClass::numeric, "NumericError", 7},
    {ErrorClass::integrity, "IntegrityError", 9},
    {ErrorClass::internal, "InternalError", 70},
}};

const ClassRow& row_of(ErrorClass cls) {
    for (const ClassRow& row : class_table) {
        if (row.cls == cls) return row;
    }
    return class_table.back();
}

}  // namespace

std::string_view name_of(ErrorClass cls) { return row_of(cls).name; }
int exit_code_of(ErrorClass cls) { return row_of(cls).exit_code; }

}  // namespace trireme
