// Files inside a dataset through the tree: one ext4, the caller's own rights.
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "engine/base/file.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using Files = ClusterTest;

// Runs `what` in a child as that user; 0 or its errno.
int AsUser(uid_t uid, const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(uid) != 0 || setuid(uid) != 0) _exit(255);
    _exit(what());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Files, BelongToWhoMadeThem) {
  MakeOnAlpha("db");
  const std::string directory = cluster_.Path("alpha", "db");
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  ASSERT_EQ(AsUser(1000, [&] { return WriteFile(directory + "/mine", "x"); }), 0);
  struct stat status {};
  ASSERT_EQ(stat((directory + "/mine").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_gid, 1000U);
  ASSERT_EQ(chmod((directory + "/file").c_str(), 0600), 0);
  EXPECT_EQ(AsUser(1000, [&] { return Open(directory + "/file"); }), EACCES);
  EXPECT_EQ(AsUser(1000, [&] { return MakeDir(cluster_.Path("alpha", "theirs")); }), EACCES);
  EXPECT_EQ(AsUser(1000, [&] { return RemoveDir(directory); }), EACCES);
}

TEST_F(Files, AreTheSameThroughTheTreeAndTheNativeMount) {
  MakeOnAlpha("db");
  const std::string native = cluster_.NativePath("alpha", "db");
  ASSERT_NE(native, "");
  ASSERT_EQ(WriteFile(native + "/file", "native"), 0);
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "native");
  ASSERT_EQ(WriteFile(cluster_.Path("alpha", "db") + "/file", "through the tree"), 0);
  EXPECT_EQ(ReadFile(native + "/file").value_or("unread"), "through the tree");
}

TEST_F(Files, TheRootOfAFreshDatasetIsEmptyAndTheCallers) {
  MakeOnAlpha("db");
  EXPECT_EQ(RemoveDir(cluster_.Path("alpha", "db") + "/lost+found"), ENOENT);
  struct stat status {};
  ASSERT_EQ(stat(cluster_.Path("alpha", "db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755U);
  EXPECT_EQ(status.st_uid, 0U);
}

TEST_F(Files, SelfAndTheIdLeadToThem) {
  MakeOnAlpha("db");
  EXPECT_EQ(ReadFile(cluster_.tree("alpha") + "/self/db/file").value_or("unread"), "content\n");
  EXPECT_EQ(ReadFile(cluster_.tree("alpha") + "/" + cluster_.Find("db")->id + "/file").value_or("unread"), "content\n");
}

}  // namespace
}  // namespace flocker::testing
