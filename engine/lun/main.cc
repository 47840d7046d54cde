// flocker-lun: one LUN as one file. See README.md.
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "engine/base/core_dump.h"
#include "engine/base/log.h"
#include "engine/lun/own_cgroup.h"
#include "engine/lun/server.h"
#ifdef FLOCKER_FAULTS
#include "engine/lun/write_log.h"
#endif

namespace {

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57  // linux/prctl.h since 5.6
#endif

constexpr size_t kHeapReserve = size_t{2} << 20;  // for libiscsi's PDUs; grown once, never given back

// From here on nothing in the I/O path may wait for memory reclaim: reclaim waits for us.
bool LockMemory() {
  // The heap never shrinks and never maps, so what the reserve holds now is there later.
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TOP_PAD, static_cast<int>(kHeapReserve));
#ifndef __SANITIZE_ADDRESS__  // whose shadow is terabytes
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    spdlog::error("cannot lock memory: {}; run as root or with CAP_IPC_LOCK", std::strerror(errno));
    return false;
  }
#endif
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) {
    spdlog::warn("PR_SET_IO_FLUSHER refused ({}): needs CAP_SYS_RESOURCE; under memory pressure, I/O may be slower",
                 std::strerror(errno));
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  flocker::lun::ServerOptions options;
  uint64_t io_timeout = static_cast<uint64_t>(options.io_timeout.count());
  uint64_t task_timeout = static_cast<uint64_t>(options.task_timeout.count());
  CLI::App app{"Serves one iSCSI LUN as one file. Started by flocker-agent, which sends the grant over the socket."};
  app.add_option("--node", options.node, "this node's name; shows in ps")->required();
  app.add_option("--dataset", options.dataset, "the dataset's UUID")->required();
  app.add_option("--mount-epoch", options.mount_epoch, "the epoch that names this mount")->required();
  app.add_option("--mountpoint", options.mountpoint, "an empty regular file to mount over")->required();
  app.add_option("--socket", options.socket, "the unix socket to listen on for the agent")->required();
  app.add_option("--agent-fd", options.agent_fd, "a connected socket to the agent, inherited");
  auto* fuse = app.add_option("--fuse-fd", options.fuse_fd, "of a dead predecessor: its /dev/fuse, inherited");
  app.add_option("--arena-fd", options.arena_fd, "of a dead predecessor: its arena, inherited")->needs(fuse);
  app.add_option("--io-timeout", io_timeout, "seconds that requests wait for a session before EIO")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--task-timeout", task_timeout, "seconds that a login or a SCSI command may take")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.io_timeout = std::chrono::seconds(io_timeout);
  options.task_timeout = std::chrono::seconds(task_timeout);
  flocker::InitLogging("flocker-lun " + options.node + "/" + options.dataset.substr(0, 8));

  if (const absl::Status forbidden = flocker::ForbidCoreDumps(); !forbidden.ok()) {
    spdlog::error("{}", std::string(forbidden.message()));
    return 1;
  }
  if (const absl::Status joined = flocker::lun::JoinOwnCgroup(); !joined.ok()) {
    spdlog::warn("{}: the memory limit of whoever started it counts for it, too", std::string(joined.message()));
  }
#ifdef FLOCKER_FAULTS
  std::unique_ptr<flocker::lun::WriteLog> write_log;
  if (const char* directory = std::getenv("FLOCKER_WRITE_LOG_DIR"); directory != nullptr) {
    auto opened = flocker::lun::WriteLog::Open(std::string(directory) + "/" + options.dataset + ".writes",
                                               flocker::lun::Server::kSlots);
    if (!opened.ok()) {
      spdlog::error("{}", std::string(opened.status().message()));
      return 1;
    }
    write_log = *std::move(opened);
    options.witness = write_log.get();
  }
#endif
  auto server = flocker::lun::Server::Create(options);
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return 1;
  }
  if (!LockMemory()) return 1;
  const absl::Status served = (*server)->Run();
  if (!served.ok()) {
    spdlog::error("{}", std::string(served.message()));
    return 1;
  }
  return 0;
}
