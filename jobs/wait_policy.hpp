// How kernel threads wait between kernels.
#pragma once

namespace trireme::jobs {

/// Where the kernel threads of this host's ranks outnumber its cores, threads that spin while they wait take
/// the cores from those that compute. OpenMP reads OMP_WAIT_POLICY before main, so this sets it to passive
/// and executes the program again; it returns where that is not needed, or the user has set the variable.
/// Call it before anything has started.
void avoid_spinning(int threads);

}  // namespace trireme::jobs
