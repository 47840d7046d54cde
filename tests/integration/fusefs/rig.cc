#include "tests/integration/fusefs/rig.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {

int As(const Identity& identity, const std::function<int()>& call) {
  int result = -1;
  // Raw system calls: they change the calling thread alone, where glibc would change every thread of the process.
  std::thread thread([&] {
    if (unshare(CLONE_FS) != 0) return;
    umask(identity.mask);
    if (syscall(SYS_setgroups, identity.groups.size(), identity.groups.data()) != 0 ||
        syscall(SYS_setresgid, identity.gid, identity.gid, identity.gid) != 0 ||
        syscall(SYS_setresuid, identity.uid, identity.uid, identity.uid) != 0) {
      return;
    }
    result = call();
  });
  thread.join();
  return result;
}

std::future<int> Later(std::function<int()> call) { return std::async(std::launch::async, std::move(call)); }

bool Done(std::future<int>& call, absl::Duration timeout) {
  return call.wait_for(absl::ToChronoMilliseconds(timeout)) == std::future_status::ready;
}

Rig::Rig() {
  for (const char* directory : {"flocker", "mnt"}) std::filesystem::create_directory(scratch_ / directory);
  chmod(scratch_.path().c_str(), 0711);  // users who are not root come through here
  rpc::TreeWelcome welcome;
  welcome.set_node_id(alpha_.str());
  welcome.set_node_name("alpha");
  welcome.set_catalog(scratch_ / "catalog");
  welcome.set_mount_root(scratch_ / "mnt");
  agent_ = std::make_unique<TestAgent>("unix:" + (scratch_ / "agent.sock"), welcome);
}

void Rig::SetUp() {
  ASSERT_EQ(geteuid(), 0U) << "needs root";
  auto catalog = CatalogWriter::Open(scratch_ / "catalog", {alpha_, "alpha", true});
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  catalog_ = *std::move(catalog);
  CatalogChange nodes;
  nodes.nodes = {{alpha_, "alpha", true}, {beta_, "beta", true}, {gamma_, "gamma", false}};
  ASSERT_TRUE(catalog_->Publish(nodes).ok());
  agent_->Start();
  StartDaemon({});
}

void Rig::StartDaemon(const std::vector<std::string>& flags) {
  if (daemon_ != nullptr) {
    ASSERT_TRUE(daemon_->Stop().ok());
  }
  std::vector<std::string> argv = {std::string(FLOCKER_BIN_DIR) + "/flocker-fs",
                                   "--node",
                                   "alpha",
                                   "--agent",
                                   "unix:" + (scratch_ / "agent.sock"),
                                   "--mountpoint",
                                   scratch_ / "flocker"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  argv.insert(argv.end(), {"--fuse-fd", "3", "--state-fd", "4"});
  device_.reset(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  memory_.reset(memfd_create("flocker-fs-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_TRUE(device_ && memory_);
  daemon_ = std::make_unique<Daemon>(argv, scratch_ / "flocker-fs.log");
  daemon_->set_prepare([this](ChildOptions& options) { options.keep = {{device_.get(), 3}, {memory_.get(), 4}}; });
  ASSERT_TRUE(daemon_->Start().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return access(Tree("alpha").c_str(), F_OK) == 0; }))
      << daemon_->log();
  ASSERT_TRUE(agent_->WaitConnected());
}

void Rig::StartSuccessor() {
  ASSERT_TRUE(daemon_->Start().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
    const auto hello = agent_->hello();
    return hello && hello->pid() == daemon_->pid();
  })) << daemon_->log();
}

void Rig::KillAndSucceed() {
  daemon_->Kill();
  ASSERT_NO_FATAL_FAILURE(StartSuccessor());
}

Rig::~Rig() {
  agent_->Stop();
  if (daemon_ != nullptr) {
    const absl::Status stopped = daemon_->Stop();
    if (!stopped.ok()) ADD_FAILURE() << stopped;
    if (::testing::Test::HasFailure()) std::fputs(daemon_->log().c_str(), stderr);
    daemon_->Kill();
  }
  device_.reset();                                      // or whoever still waits for an answer would wait for ever
  umount2((scratch_ / "flocker").c_str(), MNT_DETACH);  // EINVAL when the daemon ended as it should
  for (auto path = mounted_.rbegin(); path != mounted_.rend(); ++path) umount2(path->c_str(), MNT_DETACH);
}

std::string Rig::Native(const CatalogDataset& dataset) const {
  return absl::StrCat(scratch_.path(), "/mnt/", dataset.id.str(), ".", dataset.mount_epoch);
}

CatalogDataset Rig::Add(const std::string& name, const NodeId& node, Phase phase) {
  CatalogDataset dataset;
  dataset.id = DatasetId::FromRandomHex(RandomHex(16));
  dataset.name = name;
  dataset.node = node;
  dataset.size = 64 << 20;
  dataset.phase = phase;
  dataset.epoch = dataset.mount_epoch = 1;
  Publish(dataset);
  return dataset;
}

void Rig::Publish(const CatalogDataset& dataset) {
  CatalogChange change;
  change.datasets = {dataset};
  const absl::Status published = catalog_->Publish(change);
  EXPECT_TRUE(published.ok()) << published;
  agent_->Changed();
}

void Rig::Remove(const CatalogDataset& dataset) {
  CatalogChange change;
  change.gone_datasets = {dataset.id};
  EXPECT_TRUE(catalog_->Publish(change).ok());
  agent_->Changed();
}

void Rig::MountNative(const CatalogDataset& dataset) {
  const std::string image = scratch_ / dataset.id.str();
  if (!std::filesystem::exists(image)) {
    ASSERT_TRUE(ReplaceFile(image, "").ok());
    ASSERT_EQ(truncate(image.c_str(), 64 << 20), 0);
    const auto made = RunChecked({"mkfs.ext4", "-q", "-m", "0", image}, absl::Seconds(30));
    ASSERT_TRUE(made.ok()) << made.status();
  }
  std::filesystem::create_directory(Native(dataset));
  const auto mounted = RunChecked({"mount", "-o", "loop,nodev,nosuid", image, Native(dataset)}, absl::Seconds(30));
  ASSERT_TRUE(mounted.ok()) << mounted.status();
  mounted_.push_back(Native(dataset));
}

int Rig::UnmountNative(const CatalogDataset& dataset) {
  if (umount2(Native(dataset).c_str(), UMOUNT_NOFOLLOW) != 0) return errno;
  mounted_.erase(std::remove(mounted_.begin(), mounted_.end(), Native(dataset)), mounted_.end());
  std::filesystem::remove(Native(dataset));
  return 0;
}

CatalogDataset Rig::Attach(CatalogDataset dataset, uint32_t serial) {
  MountNative(dataset);
  dataset.serial = serial != 0 ? serial : next_serial_++;
  dataset.phase = Phase::kAttached;
  Publish(dataset);
  return dataset;
}

}  // namespace flocker::testing
