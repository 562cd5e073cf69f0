// What the cluster box found out about where processes are; filled by cluster, read by comm and runtime.
#pragma once

#include <string>
#include <vector>

namespace trireme {

/// One process of the job.
struct Placement {
    std::string host;
    int node = 0;        ///< index of the host, in order of the lowest rank on it
    int local_rank = 0;  ///< index among the processes of the host
    int local_size = 1;
    std::vector<int> cores;  ///< processors that this process may use
};

struct Topology {
    std::vector<Placement> ranks;
    int nodes = 1;
};

}  // namespace trireme
