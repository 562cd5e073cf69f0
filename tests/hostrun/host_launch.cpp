#include "tests/hostrun/host_launch.hpp"

#include <cstdlib>
#include <memory>
#include <regex>

#include <cxxabi.h>

namespace trireme::hostrun {

std::string kernel_name(const std::type_info& body) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(body.name(), nullptr, nullptr, &status), std::free);
    return std::regex_replace(std::string(name.get()), std::regex("trireme::[a-z]+::"), "");
}

Census& census() {
    static Census counted;
    return counted;
}

}  // namespace trireme::hostrun
