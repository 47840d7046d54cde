// What the tests of flocker-fs stand on.
//
//     test ---- TestAgent ==gRPC== flocker-fs (the real binary) ==FUSE== <scratch>/flocker
//       \------ CatalogWriter ---- shared memory ----/
//        \----- mkfs.ext4, mount -- <scratch>/mnt/<uuid>.<epoch> (ext4 on loop over a sparse file)
//
// The machine is `alpha`; `beta` exists and is connected; `gamma` exists and is not.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/catalog/writer.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"
#include "tests/integration/fusefs/test_agent.h"

namespace flocker::testing {

// Somebody: `call` runs on a thread of its own with these ids, groups and umask, as a process of theirs would.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  mode_t mask = 022;
};
int As(const Identity& identity, const std::function<int()>& call);

// A system call that may wait, on a thread of its own.
std::future<int> Later(std::function<int()> call);
bool Done(std::future<int>& call, absl::Duration timeout);

class Rig : public ::testing::Test {
 protected:
  Rig();
  ~Rig() override;
  void SetUp() override;

  std::string Tree(const std::string& path) const { return scratch_ / "flocker/" + path; }
  std::string Native(const CatalogDataset& dataset) const;

  // A dataset shown on that node with nothing of it here.
  CatalogDataset Add(const std::string& name, const NodeId& node, Phase phase = Phase::kAttaching);
  // Makes its ext4 (once) and mounts it where the agent would; does not tell anybody.
  void MountNative(const CatalogDataset& dataset);
  // 0 or errno; without MNT_DETACH, so it fails while anybody uses it.
  int UnmountNative(const CatalogDataset& dataset);
  // Mounted and published: with a new serial, or with the one given.
  CatalogDataset Attach(CatalogDataset dataset, uint32_t serial = 0);
  CatalogDataset Attached(const std::string& name) { return Attach(Add(name, alpha_)); }
  void Publish(const CatalogDataset& dataset);
  void Remove(const CatalogDataset& dataset);
  // A flocker-fs with a new mount.
  void StartDaemon(const std::vector<std::string>& flags);
  // What the agent does when flocker-fs has died: one that goes on with the mount. Returns when it has said hello.
  void StartSuccessor();
  // The same after a SIGKILL.
  void KillAndSucceed();

  ScratchDir scratch_;
  const NodeId alpha_ = *NodeId::Parse("aaaaaaaa-0000-4000-8000-000000000001");
  const NodeId beta_ = *NodeId::Parse("bbbbbbbb-0000-4000-8000-000000000002");
  const NodeId gamma_ = *NodeId::Parse("cccccccc-0000-4000-8000-000000000003");
  std::unique_ptr<CatalogWriter> catalog_;
  std::unique_ptr<TestAgent> agent_;
  std::unique_ptr<Daemon> daemon_;
  // What the agent keeps of the mount.
  unique_fd device_;
  unique_fd memory_;
  uint32_t next_serial_ = 7;

 private:
  std::vector<std::string> mounted_;
};

}  // namespace flocker::testing
