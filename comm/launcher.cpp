// What the launcher tells a process in its environment, before MPI is up.
#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>

#include "comm/communicator.hpp"

namespace trireme::comm {
namespace {

std::optional<int> first_number(std::initializer_list<const char*> names) {
    for (const char* name : names) {
        const char* text = std::getenv(name);
        if (text == nullptr || *text == '\0') continue;
        char* end = nullptr;
        const long value = std::strtol(text, &end, 10);
        if (*end == '\0' && value >= 0 && value < (1L << 30)) return static_cast<int>(value);
    }
    return std::nullopt;
}

}  // namespace

int launcher_rank() {
    return first_number({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}).value_or(0);
}

int launcher_size() {
    return first_number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}).value_or(1);
}

int launcher_local_rank() {
    return first_number({"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}).value_or(0);
}

int launcher_local_size() { return std::max(first_number({"OMPI_COMM_WORLD_LOCAL_SIZE"}).value_or(1), 1); }

}  // namespace trireme::comm
