// How many CPUs this process may use: its affinity mask, capped by its control groups' quotas.
// Sizes the thread pool.
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "kernels/cpu/threads.hpp"

namespace nibble::inline v0::cpu {

namespace {

// The mask grows with the machine: the kernel refuses one that is too small.
std::uint32_t affinity_count() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(cpus),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    if (!set) break;
    if (sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set.get()) == 0) {
      return static_cast<std::uint32_t>(CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set.get()));
    }
    if (errno != EINVAL) break;
  }
  return std::thread::hardware_concurrency();
}

// Whole CPUs of "quota period" in microseconds; a quota of "max" or -1 is none.
std::uint32_t quota_cpus(const std::string& quota, long long period, std::uint32_t cap) {
  if (quota.empty() || quota == "max" || quota[0] == '-' || period <= 0) return cap;
  const long long cpus = (std::stoll(quota) + period - 1) / period;
  return static_cast<std::uint32_t>(std::clamp<long long>(cpus, 1, cap));
}

std::uint32_t group_cap(const std::string& folder, std::uint32_t cap) {
  std::string quota;
  long long period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period) cap = quota_cpus(quota, period, cap);
  std::ifstream v1_quota(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
  if (v1_quota >> quota && v1_period >> period) cap = quota_cpus(quota, period, cap);
  return cap;
}

// Every group from the process's own up to the root may set a quota. Lines of /proc/self/cgroup are
// "id:controllers:path"; within a container the path may not exist, and the mount point is the own group.
std::uint32_t quota_count(std::uint32_t cap) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    const std::string mount = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controllers;
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      cap = group_cap(mount + path, cap);
      if (path.find('/') == std::string::npos) break;
    }
  }
  return cap;
}

}  // namespace

std::uint32_t available_cpus() noexcept {
  std::uint32_t cpus = 1;
  try {
    cpus = std::max(1u, affinity_count());
    cpus = quota_count(cpus);
  } catch (const std::exception&) {
    // A quota that cannot be read caps nothing.
  }
  return cpus;
}

}  // namespace nibble::inline v0::cpu
