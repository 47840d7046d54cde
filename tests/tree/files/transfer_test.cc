// Whole trees of files, copied and moved into a dataset and out of it by the tools people use: nothing is lost.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/manifest.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/two_paths.h"

namespace flocker::testing {
namespace {

void Shell(const std::vector<std::string>& argv) {
  const auto result = RunChecked(argv, absl::Seconds(60));
  ASSERT_TRUE(result.ok()) << result.status();
}

// Everything that a copy can lose.
void MakeOriginal(const std::string& at) {
  ASSERT_EQ(MakeDir(at), 0);
  ASSERT_EQ(WriteFile(at + "/plain", "content"), 0);
  ASSERT_EQ(link((at + "/plain").c_str(), (at + "/another name").c_str()), 0);
  ASSERT_EQ(mkdir((at + "/dir").c_str(), 0750), 0);
  ASSERT_EQ(link((at + "/plain").c_str(), (at + "/dir/third").c_str()), 0);
  for (const char* name : {"new\nline", "-rf", " ", "\xff\xfe not utf-8", "quote\"'`$(x)", "back\\slash", "..."}) {
    ASSERT_EQ(WriteFile(absl::StrCat(at, "/dir/", name), name), 0);
  }
  ASSERT_EQ(WriteFile(absl::StrCat(at, "/dir/", std::string(255, 'l')), "long"), 0);
  ASSERT_EQ(symlink("../plain", (at + "/dir/link").c_str()), 0);
  ASSERT_EQ(symlink("/nowhere/at all", (at + "/dangling").c_str()), 0);
  ASSERT_EQ(mkfifo((at + "/fifo").c_str(), 0640), 0);
  ASSERT_EQ(mknod((at + "/null").c_str(), S_IFCHR | 0660, makedev(1, 3)), 0);
  const unique_fd sparse(open((at + "/sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(pwrite(sparse.get(), "begin", 5, 0), 5);
  ASSERT_EQ(pwrite(sparse.get(), "end", 3, 64 << 20), 3);
  ASSERT_EQ(setxattr((at + "/plain").c_str(), "user.color", "blue", 4, 0), 0);
  ASSERT_EQ(setxattr((at + "/dir").c_str(), "user.empty", "", 0, 0), 0);
  ASSERT_EQ(setxattr((at + "/plain").c_str(), "trusted.secret", "\0\1", 2, 0), 0);
  Shell({"setfacl", "-m", "u:65534:r,g:65533:rwx", at + "/plain"});
  Shell({"setfacl", "-m", "d:u:65534:rwx,u:65534:rx", at + "/dir"});
  ASSERT_EQ(WriteFile(at + "/tool", "tool"), 0);
  ASSERT_EQ(chown((at + "/tool").c_str(), 65534, 65533), 0);
  ASSERT_EQ(chmod((at + "/tool").c_str(), 06755), 0);
  Shell({"setcap", "cap_net_raw+ep", at + "/dir/..."});
  const std::array<timespec, 2> old = {timespec{1, 2}, timespec{1000000000, 123456789}};
  ASSERT_EQ(utimensat(AT_FDCWD, (at + "/dir/link").c_str(), old.data(), AT_SYMLINK_NOFOLLOW), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, (at + "/tool").c_str(), old.data(), 0), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, (at + "/dir").c_str(), old.data(), 0), 0);
}

class Transfer : public ::testing::Test {
 protected:
  // From a native directory, there and back: `move(from, to)` each way, and looks in between.
  template <class Move>
  void ThereAndBack(Move move) {
    TwoPaths& paths = SharedTwoPaths();
    ASSERT_TRUE(paths.ready());
    const TwoPaths::Pair pair = paths.MakePair();
    const std::string original = pair.native + "/original";
    MakeOriginal(original);
    ASSERT_FALSE(HasFatalFailure());
    const std::vector<std::string> whole = Manifest(original);
    move(original, pair.tree + "/there");
    EXPECT_EQ(Manifest(pair.tree + "/there"), whole);
    EXPECT_EQ(Manifest(pair.behind_tree + "/there"), whole);
    move(pair.tree + "/there", pair.native + "/back");
    EXPECT_EQ(Manifest(pair.native + "/back"), whole);
    struct stat sparse {};
    for (const std::string& at : {pair.native + "/back/sparse", pair.above_native + "/back/sparse"}) {
      ASSERT_EQ(stat(at.c_str(), &sparse), 0);
      EXPECT_LT(sparse.st_blocks * 512, 1 << 20) << at << " has lost its hole";
    }
  }
};

TEST_F(Transfer, CpKeepsEverything) {
  ThereAndBack([](const std::string& from, const std::string& to) { Shell({"cp", "-a", from, to}); });
}

TEST_F(Transfer, MvKeepsEverything) {
  ThereAndBack([](const std::string& from, const std::string& to) {
    Shell({"mv", from, to});
    EXPECT_FALSE(std::filesystem::exists(from));
  });
}

TEST_F(Transfer, TarKeepsEverything) {
  const ScratchDir scratch;
  ThereAndBack([&](const std::string& from, const std::string& to) {
    const std::string archive = scratch / "archive.tar";
    ASSERT_EQ(MakeDir(to), 0);
    Shell({"tar", "--create", "--sparse", "--acls", "--xattrs", "--xattrs-include=*", "--format=pax", "-C", from, "-f",
           archive, "."});
    Shell({"tar", "--extract", "--acls", "--xattrs", "--xattrs-include=*", "--same-owner", "-p", "-C", to, "-f",
           archive});
  });
}

}  // namespace
}  // namespace flocker::testing
