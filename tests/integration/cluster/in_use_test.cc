// A dataset that somebody uses does not move: EBUSY, the holder named, and the data as writable as before. Each kind of
// use once through the tree and once through the native mount.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/holder_child.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

struct Door {
  const char* name;
  bool native;
};
void PrintTo(const Door& door, std::ostream* out) { *out << door.name; }

// A cgroup as docker makes one for a container, in whichever version of cgroups this machine has.
class ContainerCgroup {
 public:
  explicit ContainerCgroup(const std::string& id)
      : path_(absl::StrCat(access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids",
                           "/docker-", id, ".scope")) {
    EXPECT_EQ(MakeDir(path_), 0) << path_;
  }
  // Those in it have been killed: the kernel lets it go a moment later.
  ~ContainerCgroup() {
    EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return RemoveDir(path_) == 0; })) << path_;
  }
  ContainerCgroup(const ContainerCgroup&) = delete;
  ContainerCgroup& operator=(const ContainerCgroup&) = delete;

  // The calling process moves into it.
  bool Enter() const {
    std::ofstream processes(path_ + "/cgroup.procs");
    processes << 0 << std::flush;
    return processes.good();
  }

 private:
  const std::string path_;
};

class InUse : public ClusterTest, public ::testing::WithParamInterface<Door> {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    MakeOnAlpha("db");
    door_ = GetParam().native ? cluster_.NativePath("alpha", "db") : cluster_.Path("alpha", "db");
    ASSERT_NE(door_, "");
  }

  // The mv is refused as it should be, and the dataset goes on working.
  void ExpectBusy(pid_t holder) {
    EXPECT_EQ(Mv("db", "alpha", "beta"), EBUSY);
    const std::string why = cluster_.Why("db");
    EXPECT_TRUE(absl::StrContains(why, "busy")) << why;
    EXPECT_TRUE(absl::StrContains(why, absl::StrCat(holder))) << "process " << holder << " is not named: " << why;
    EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/after", "still writable"), 0);
    EXPECT_EQ(ReadFile(door_ + "/after").value_or("unread"), "still writable");
    EXPECT_TRUE(cluster_.AttachedOn("alpha", "db"));
  }

  // With the holder gone nothing is in the way any more.
  void ExpectMoves() {
    EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
    EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/after").value_or("unread"), "still writable");
  }

  std::string door_;  // the dataset's directory as the holder sees it
};

TEST_P(InUse, ByAnOpenFile) {
  unique_fd held(open((door_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(held);
  ExpectBusy(getpid());
  EXPECT_EQ(pwrite(held.get(), "CONTENT", 7, 0), 7);
  EXPECT_EQ(fsync(held.get()), 0);
  EXPECT_EQ(ReadFile(door_ + "/file").value_or("unread"), "CONTENT\n");
  held.reset();
  ExpectMoves();
}

TEST_P(InUse, ByAWorkingDirectory) {
  auto holder = std::make_unique<HolderChild>(SitIn(door_));
  ExpectBusy(holder->pid());
  holder.reset();
  ExpectMoves();
}

TEST_P(InUse, ByABindMountInAnotherNamespace) {
  const std::string target = cluster_.dir() + "/bound";
  ASSERT_EQ(MakeDir(target), 0);
  auto holder = std::make_unique<HolderChild>(BindElsewhere(door_, target, ""));
  ExpectBusy(holder->pid());
  holder.reset();
  ExpectMoves();
}

TEST_P(InUse, ByAContainerWhichIsNamed) {
  const std::string id = RandomHex(32);
  const ContainerCgroup cgroup(id);
  auto holder = std::make_unique<HolderChild>([&] { return cgroup.Enter() && SitIn(door_)(); });
  ExpectBusy(holder->pid());
  struct stat own_namespace {};
  ASSERT_EQ(stat("/proc/self/ns/mnt", &own_namespace), 0);
  std::array<char, 4096> holders{};
  EXPECT_GT(getxattr(cluster_.Path("alpha", "db").c_str(), "flocker.holders", holders.data(), holders.size() - 1), 0);
  for (const std::string& text : {cluster_.Why("db"), std::string(holders.data())}) {
    for (const std::string& named : {absl::StrCat("pid ", holder->pid(), " (integration_clu"), std::string(", uid 0, "),
                                     absl::StrCat("mount namespace ", own_namespace.st_ino, ", "),
                                     absl::StrCat("in container ", id.substr(0, 12))}) {
      EXPECT_TRUE(absl::StrContains(text, named)) << named << " is not in: " << text;
    }
  }
  holder.reset();
  ExpectMoves();
}

TEST_P(InUse, IsAlsoInTheWayOfItsDestruction) {
  auto holder = std::make_unique<HolderChild>(SitIn(door_));
  EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "db")), EBUSY);
  EXPECT_EQ(ReadFile(door_ + "/file").value_or("unread"), "content\n");
  holder.reset();
  EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "db")), 0) << cluster_.Why("db");
}

INSTANTIATE_TEST_SUITE_P(Through, InUse, ::testing::Values(Door{"Tree", false}, Door{"NativeMount", true}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace flocker::testing
