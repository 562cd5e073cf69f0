// Before the first step all ranks compare what they are about to run, once: a plan that differs between ranks
// is a hang or a wrong sum later.
#pragma once

#include "comm/communicator.hpp"
#include "jobs/planned_job.hpp"

namespace trireme::jobs {

/// Where kernels are chosen by measurement, rank 0's choice becomes everybody's; then all is compared.
/// Throws ConfigError on every rank, naming the ranks that differ from rank 0 and in what; DeviceError where
/// ranks took one GPU together and the job does not allow it. Warns where threads exceed cores.
void agree(PlannedJob& job, comm::Communicator& comm);

}  // namespace trireme::jobs
