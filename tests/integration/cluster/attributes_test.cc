// Labels, protection and growth, as users set them by setfattr.
#include <gmock/gmock.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/model/size.h"
#include "engine/volume/growth.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

class Attributes : public ClusterTest {
 protected:
  explicit Attributes(const ClusterOptions& options = {}) : ClusterTest(options) {}

  static int Set(const std::string& path, const std::string& name, const std::string& value) {
    const std::string full = "flocker." + name;
    return setxattr(path.c_str(), full.c_str(), value.data(), value.size(), 0) == 0 ? 0 : errno;
  }
  static std::string Get(const std::string& path, const std::string& name) {
    const std::string full = "flocker." + name;
    std::array<char, 4096> value{};
    const ssize_t size = getxattr(path.c_str(), full.c_str(), value.data(), value.size());
    return size < 0 ? absl::StrCat("errno ", errno) : std::string(value.data(), static_cast<size_t>(size));
  }
  void MakeOfSize(const std::string& name, const std::string& size) {
    ASSERT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=" + name, "-s", size}).exit_code, 0);
    ASSERT_EQ(WriteFile(cluster_.Path("alpha", name) + "/file", "content"), 0);
  }
  // Bytes that df shows of the dataset there.
  uint64_t Space(const std::string& node, const std::string& name) {
    struct statvfs space {};
    EXPECT_EQ(statvfs(cluster_.Path(node, name).c_str(), &space), 0);
    return space.f_blocks * space.f_frsize;
  }
};

TEST_F(Attributes, LabelAndProtect) {
  MakeOnAlpha("db");
  const std::string db = cluster_.Path("alpha", "db");
  EXPECT_EQ(Get(db, "metadata.name"), "db");
  ASSERT_EQ(Set(db, "metadata.owner", "Zoë"), 0) << cluster_.Why("db");
  EXPECT_EQ(Get(db, "metadata.owner"), "Zoë");
  const std::string listed = cluster_.Ctl({"ls"}).output;
  EXPECT_TRUE(absl::StrContains(listed, "name=db,owner=Zoë")) << listed;
  EXPECT_EQ(Set(db, "metadata.name", "other"), EPERM) << "mv does that";
  EXPECT_EQ(Set(db, "metadata.long", std::string(257, 'x')), ERANGE);
  EXPECT_EQ(removexattr(db.c_str(), "flocker.metadata.owner"), 0);
  EXPECT_EQ(Get(db, "metadata.owner"), absl::StrCat("errno ", ENODATA));
  EXPECT_EQ(removexattr(db.c_str(), "flocker.metadata.owner"), -1);
  EXPECT_EQ(errno, ENODATA);
  // A user's own attributes are ext4's.
  ASSERT_EQ(setxattr(db.c_str(), "user.flocker.size", "x", 1, 0), 0);
  EXPECT_EQ(listxattr(db.c_str(), nullptr, 0), static_cast<ssize_t>(sizeof "user.flocker.size"));

  ASSERT_EQ(Set(db, "protect", "1"), 0);
  EXPECT_EQ(Get(db, "protect"), "1");
  EXPECT_EQ(RemoveDir(db), EPERM);
  ASSERT_EQ(Set(db, "protect", "0"), 0);
  EXPECT_TRUE(absl::StrContains(Get(db, "all"), "\"protect\":false")) << Get(db, "all");
  ASSERT_EQ(RemoveDir(db), 0) << cluster_.Why("db");
}

TEST_F(Attributes, GrowUnderWrites) {
  MakeOfSize("db", "128M");
  const std::string db = cluster_.Path("alpha", "db");
  const uint64_t before = Space("alpha", "db");
  EXPECT_EQ(Set(db, "size", "64M"), EINVAL) << "it would shrink";
  EXPECT_EQ(Set(db, "size", "16T"), ENOSPC) << "the pool may not promise that";

  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    while (!stop) {
      const int error = WriteFile(absl::StrCat(db, "/", written % 8), std::string(64 << 10, 'x'));
      EXPECT_EQ(error, 0);
      if (error != 0) return;
      ++written;
    }
  });
  EXPECT_EQ(Set(db, "size", "512M"), 0) << cluster_.Why("db");
  const int meanwhile = written;
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return written > meanwhile; })) << "writes go on";
  stop = true;
  writer.join();
  EXPECT_EQ(Get(db, "size"), absl::StrCat(512 * kMiB));
  EXPECT_EQ(std::filesystem::file_size(cluster_.BackingFile("db")), 512 * kMiB);
  EXPECT_EQ(Get(db, "epoch"), "2") << "a larger LUN takes one new session";
  if (MayGrowMounted()) {
    EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Space("alpha", "db") > 3 * before; }));
  } else {
    EXPECT_TRUE(Eventually(absl::Seconds(5), [&] {
      return absl::StrContains(Get(db, "error"), "follows when it is attached next");
    })) << Get(db, "error");
    EXPECT_EQ(Space("alpha", "db"), before);
  }

  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "content");
  EXPECT_GT(Space("beta", "db"), 3 * before);
  EXPECT_EQ(Get(cluster_.Path("beta", "db"), "error"), absl::StrCat("errno ", ENODATA));
}

TEST_F(Attributes, GrowWhatIsNotThere) {
  MakeOfSize("db", "128M");
  const std::string db = absl::StrCat(cluster_.tree("beta"), "/alpha/db");
  ASSERT_TRUE(Eventually(absl::Seconds(2), [&] { return Get(db, "state") == "attached"; })) << Get(db, "state");
  ASSERT_TRUE(cluster_.agent("alpha").Stop().ok());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return !cluster_.Connected("alpha"); }));
  EXPECT_EQ(Set(db, "size", "256M"), 0) << cluster_.Why("db");
  EXPECT_EQ(std::filesystem::file_size(cluster_.BackingFile("db")), 128 * kMiB) << "its session is left alone";
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    return std::filesystem::file_size(cluster_.BackingFile("db")) == 256 * kMiB && cluster_.AttachedOn("alpha", "db");
  }));
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "content");
}

}  // namespace
}  // namespace flocker::testing
