// Full disks: control's own, and the pool's. What was acknowledged stays, who must wait waits, and all goes on with
// room.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/fio.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

// Leaves `left` bytes free where `path` will be.
void FillUp(const std::string& path, uint64_t left) {
  const uint64_t free = std::filesystem::space(std::filesystem::path(path).parent_path()).available;
  const unique_fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  ASSERT_EQ(posix_fallocate(file.get(), 0, static_cast<off_t>(free - left)), 0);
}

class ControlsDisk : public ClusterTest {
 protected:
  ControlsDisk() : ClusterTest({.state_bytes = uint64_t{64} << 20, .control_flags = {"--data-reserve", "16"}}) {}
  void TearDown() override { std::filesystem::remove(disk_ + "/filler"); }
  const std::string disk_ = cluster_.dir() + "/control";
};

TEST_F(ControlsDisk, LittleRoomRefusesOperationsAndNothingElse) {
  MakeOnAlpha("db");
  FillUp(disk_ + "/filler", 8 << 20);
  EXPECT_EQ(MakeDir(cluster_.Path("alpha", "more")), ENOSPC);
  EXPECT_EQ(Mv("db", "alpha", "beta"), ENOSPC);
  EXPECT_TRUE(absl::StrContains(cluster_.Why("more"), "control's own disk")) << cluster_.Why("more");
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "goes on"), 0);
  std::filesystem::remove(disk_ + "/filler");
  EXPECT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "goes on");
}

TEST_F(ControlsDisk, NoRoomAtAllIsAControlThatIsAwayUntilThereIsRoom) {
  MakeOnAlpha("db");
  FillUp(disk_ + "/filler", 0);
  // Each refusal is an event that wants to be recorded, until there is no room even for that: RocksDB has some MiB of
  // its log allocated already.
  const std::string metadata = absl::StrCat("name=", std::string(60'000, 'n'));
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] {
    return cluster_.Ctl({"--timeout", "2", "create", "-n", "alpha", "-m", metadata}).exit_code != 0 &&
           absl::StrContains(cluster_.control().log(), "waits for room");
  }));
  EXPECT_TRUE(cluster_.control().running());
  EXPECT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "goes on"), 0);
  std::filesystem::remove(disk_ + "/filler");
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.AttachedOn("alpha", "db"); }));
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return Mv("db", "alpha", "beta") == 0; })) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "db") + "/file").value_or("unread"), "goes on");
}

class Pool : public ClusterTest {
 protected:
  Pool() : ClusterTest({.pool_bytes = uint64_t{192} << 20}) {}
};

TEST_F(Pool, AWriterWaitsForRoomAndGoesOn) {
  const auto created = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "1G"});
  ASSERT_EQ(created.exit_code, 0) << created.output;
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return cluster_.AttachedOn("alpha", "db"); }));
  const std::string filler = cluster_.dir() + "/pool/filler";
  FillUp(filler, 48 << 20);
  const absl::Cleanup make_room = [&] { std::filesystem::remove(filler); };
  Fio fio(cluster_.NativePath("alpha", "db") + "/fio", cluster_.dir() + "/fio.log", 96, 20000, true);
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] { return cluster_.Happened("write-paused"); }))
      << cluster_.Ctl({"events"}).output;
  ASSERT_TRUE(fio.running()) << fio.Finish(absl::ZeroDuration());
  std::filesystem::remove(filler);
  const absl::Status status = fio.Finish(absl::Minutes(1));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "db"));
}

}  // namespace
}  // namespace flocker::testing
