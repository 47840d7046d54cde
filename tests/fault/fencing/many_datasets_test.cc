// Many datasets at once: an agent restarted over fifty of them, twenty made and moved by as many processes.
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/harness/numbered_writer.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

class ManyDatasets : public ClusterTest {
 protected:
  // Everything of a data path: LUN servers with their process ids, mounts, loop devices.
  std::set<std::string> DataPaths() {
    std::set<std::string> parts;
    for (const std::string& line : cluster_.Belongings()) {
      const bool ours = absl::StrContains(line, "/flocker-lun ") || absl::StrContains(line, "/alpha/mnt/") ||
                        absl::StrContains(line, "/alpha/lun/") || absl::StartsWith(line, "loop");
      if (ours) parts.insert(line);
    }
    return parts;
  }
  bool AllAttached(size_t count, const std::string& node) {
    size_t attached = 0;
    for (const auto& row : cluster_.List()) attached += row.status == "attached" && row.node == node ? 1 : 0;
    return attached == count;
  }

  // Runs all the command lines at once; how long until the last one has ended, each with success.
  absl::Duration AtOnce(const std::vector<std::string>& lines) {
    const absl::Time start = absl::Now();
    std::vector<Child> children;
    for (const std::string& line : lines) {
      auto child = SpawnChild({.argv = {"sh", "-c", absl::StrCat("(", line, ") || touch ", failures_)}});
      EXPECT_TRUE(child.ok()) << child.status();
      if (child.ok()) children.push_back(*std::move(child));
    }
    for (const Child& child : children) EXPECT_TRUE(WaitEnd(child.pidfd, kPatience));
    EXPECT_FALSE(ReadFile(failures_).ok()) << cluster_.Ctl({"events"}).output;
    return absl::Now() - start;
  }
  std::string failures_ = cluster_.dir() + "/failed";
};

TEST_F(ManyDatasets, FiftyAreTakenUpAgainByARestartedAgent) {
  constexpr int kCount = 50;
  constexpr absl::Duration kBound = absl::Seconds(2);
  for (int i = 0; i < kCount; ++i) {
    const CommandResult made = cluster_.Ctl({"create", "-n", "alpha", "-m", absl::StrCat("name=d", i), "-s", "64M"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return AllAttached(kCount, "alpha"); })) << cluster_.Ctl({"ls"}).output;
  std::vector<std::unique_ptr<NumberedWriter>> writers;
  for (const char* name : {"d0", "d24", "d49"}) {
    writers.push_back(std::make_unique<NumberedWriter>(cluster_.NativePath("alpha", name) + "/numbers", name));
  }
  const std::set<std::string> before = DataPaths();
  EXPECT_EQ(before.size(), size_t{4} * kCount);  // LUN server, FUSE file, loop device, ext4

  cluster_.agent("alpha").Kill();
  ASSERT_TRUE(Eventually(kPatience, [&] { return !cluster_.Connected("alpha"); }));
  const absl::Time start = absl::Now();
  ASSERT_TRUE(cluster_.agent("alpha").Start().ok());
  ASSERT_TRUE(Eventually(kPatience, [&] { return cluster_.Connected("alpha"); }));
  EXPECT_TRUE(AllAttached(kCount, "alpha")) << cluster_.Ctl({"ls"}).output;
  const absl::Duration took = absl::Now() - start;
  std::cout << kCount << " datasets under I/O taken up again in " << took << ", bound " << kBound << "\n";
  EXPECT_LE(took, kBound) << cluster_.agent("alpha").log();

  for (const auto& writer : writers) {
    const uint64_t so_far = writer->acknowledged();
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer->acknowledged() > so_far + 20; }));
    EXPECT_EQ(writer->error(), 0);
  }
  EXPECT_EQ(DataPaths(), before) << "something was detached, or attached anew";
  for (const char* event : {"not-held", "session-lost", "dropped", "fenced"}) EXPECT_FALSE(cluster_.Happened(event));
  EXPECT_TRUE(AllAttached(kCount, "alpha"));
  for (const auto& writer : writers) {
    writer->Kill();
    EXPECT_TRUE(Eventually(kPatience, [&] { return writer->Ended(); }));
  }
}

TEST_F(ManyDatasets, TwentyMadeAndMovedAtOnce) {
  constexpr int kCount = 20;
  const auto name = [](int i) { return absl::StrCat("d", i); };
  // Half of them from each node's tree, as two people would who know nothing of each other.
  const auto tree = [&](int i) { return cluster_.tree(i % 2 == 0 ? "alpha" : "beta"); };
  std::vector<std::string> lines;
  for (int i = 0; i < kCount; ++i) {
    lines.push_back(absl::StrCat("mkdir ", tree(i), "/alpha/", name(i)));
  }
  std::cout << kCount << " mkdirs at once: " << AtOnce(lines) << "\n";
  lines.clear();
  for (int i = 0; i < kCount; ++i) {
    const std::string file = cluster_.Path("alpha", name(i)) + "/file";
    lines.push_back(absl::StrCat("echo ", name(i), " > ", file, " && sync ", file));
  }
  std::cout << "written to: " << AtOnce(lines) << "\n";
  lines.clear();
  for (int i = 0; i < kCount; ++i) {
    lines.push_back(absl::StrCat("mv ", tree(i), "/alpha/", name(i), " ", tree(i), "/beta/"));
  }
  std::cout << kCount << " mvs at once: " << AtOnce(lines) << "\n";
  lines.clear();
  for (int i = 0; i < kCount; ++i) {
    lines.push_back(absl::StrCat("test \"$(cat ", cluster_.Path("beta", name(i)), "/file)\" = ", name(i)));
  }
  std::cout << "read again: " << AtOnce(lines) << "\n";
  EXPECT_TRUE(Eventually(kPatience, [&] { return AllAttached(kCount, "beta"); })) << cluster_.Ctl({"ls"}).output;
}

}  // namespace
}  // namespace flocker::testing
