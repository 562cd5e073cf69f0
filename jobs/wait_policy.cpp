#include "jobs/wait_policy.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#include "cluster/topology.hpp"
#include "comm/communicator.hpp"

namespace trireme::jobs {
namespace {

/// The words that this process was started with.
std::vector<std::string> own_command_line() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<std::string> words;
    for (std::size_t at = 0; at < text.size();) {
        words.emplace_back(text.c_str() + at);
        at += words.back().size() + 1;
    }
    return words;
}

}  // namespace

void avoid_spinning(int threads) {
    if (threads < 2 || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
    if (comm::launcher_local_size() * threads <= cluster::local_view().cores()) return;
    std::vector<std::string> words = own_command_line();
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    ::execv("/proc/self/exe", arguments.data());
    // Without /proc the program goes on as it is: slower, not wrong.
}

}  // namespace trireme::jobs
