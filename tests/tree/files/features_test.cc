// What a list of calls cannot say: attributes, ACLs, locks, mappings, direct I/O, inode flags, hostile links, space.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/manifest.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/two_paths.h"

namespace flocker::testing {
namespace {

class Features : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(SharedTwoPaths().ready());
    pair_ = SharedTwoPaths().MakePair();
  }
  // The same command in both directories: its output and exit code, and all that is there afterwards, must be equal.
  void Same(const std::string& command) {
    std::array<CommandResult, 2> results;
    for (const bool tree : {false, true}) {
      const auto result =
          RunCommand({"bash", "-c", "cd \"$1\" && { " + command + "; } 2>&1", "bash", tree ? pair_.tree : pair_.native},
                     absl::Seconds(60));
      ASSERT_TRUE(result.ok()) << result.status();
      results[tree ? 1 : 0] = *result;
    }
    EXPECT_EQ(results[1].output, results[0].output) << command;
    EXPECT_EQ(results[1].exit_code, results[0].exit_code) << command << "\n" << results[0].output;
    EXPECT_EQ(Manifest(pair_.tree, {.times = false}), Manifest(pair_.native, {.times = false})) << command;
  }

  TwoPaths::Pair pair_;
};

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using Aligned = std::unique_ptr<char, FreeMemory>;
Aligned AlignedMemory(size_t size) { return Aligned(static_cast<char*>(std::aligned_alloc(4096, size))); }

TEST_F(Features, ExtendedAttributesOfEveryKind) {
  Same("touch f; ln -s f s; mkfifo p; mkdir d; chmod 666 f");
  Same("setfattr -n user.a -v 1 f; setfattr -n user.a -v 2 -h s; setfattr -n user.a -v 3 p; setfattr -n user.a -v 4 d");
  Same("setfattr -n trusted.t -v 5 f; setfattr -h -n trusted.t -v 6 s; getfattr -h -d -m - f s p d");
  Same("setcap cap_net_raw+ep f; getcap f; echo x >>f; getcap f");
  Same("setfattr -n nonsense -v 1 f; setfattr -n system.none -v 1 f; setfattr -x user.none f");
  Same("setfattr -n user.$(printf n%.0s {1..250}) -v 1 f; setfattr -n user.$(printf n%.0s {1..251}) -v 1 f");
  Same("setfattr -n user.big -v $(printf x%.0s {1..3000}) f; setfattr -n user.toobig -v $(printf x%.0s {1..9000}) f");
  // Not even the names of trusted.* are for users; nor for a root that may not administer.
  Same("setpriv --reuid 65534 --regid 65534 --clear-groups getfattr -d -m - f");
  Same("setpriv --reuid 65534 --regid 65534 --clear-groups setfattr -n trusted.t -v x f");
  Same("setpriv --bounding-set -sys_admin --inh-caps -sys_admin getfattr -d -m - f");
}

TEST_F(Features, AccessControlListsAndTheUmask) {
  Same("touch f; setfacl -m u:65534:rw,g:65533:r f; getfacl -n f; stat -c %a f; chmod 600 f; getfacl -n f");
  Same("mkdir d; setfacl -m d:u:65534:rwx,d:g::rwx,d:o::--- d; getfacl -n d");
  // With a default ACL the umask must not count.
  Same("umask 077; touch d/f; mkdir d/sub; mkfifo d/p; getfacl -n d/f d/sub d/p; touch plain; stat -c %a plain");
  Same("setfacl -m u:65533:x d; chmod 711 d; setpriv --reuid 65534 --regid 65534 --clear-groups cat d/f");
  Same("setpriv --reuid 65533 --regid 65532 --clear-groups cat d/f; setfacl -b d/f; setfacl -k d; getfacl -n d d/f");
  Same(
      "setpriv --reuid 65533 --regid 65533 --clear-groups setfacl -m u:65533:rwx f; setfacl -m u:1:rwx,m::r f; stat -c "
      "%a f");
}

TEST_F(Features, InodeFlags) {
  Same("touch f; mkdir d; lsattr -d f d; chattr +d f; lsattr f; chattr +i f; echo x >f; rm f; chattr -i f; lsattr f");
  Same("echo one >a; chattr +a a; echo two >>a; echo three >a; truncate -s 0 a; cat a; chattr -a a; lsattr a");
  Same(
      "chattr +A d; touch d/f; lsattr d/f; chmod 777 f; "
      "setpriv --reuid 65534 --regid 65534 --clear-groups chattr +d f");
}

TEST_F(Features, Allocation) {
  Same("fallocate -l 1M f; stat -c '%s %b' f; fallocate -p -o 4096 -l 8192 f; stat -c '%s %b' f");
  Same("fallocate -n -l 2M f; stat -c '%s' f; fallocate -z -o 0 -l 3M f; stat -c %s f; cmp f <(head -c 3M /dev/zero)");
}

TEST_F(Features, HolesAreSeen) {
  Same(
      "truncate -s 4M f; printf x | dd of=f bs=1 seek=1M conv=notrunc status=none; cp --sparse=always f g; stat -c "
      "'%b' g");
  for (const std::string& at : {pair_.tree, pair_.native}) {
    const unique_fd file(open((at + "/f").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(lseek(file.get(), 0, SEEK_DATA), 1 << 20) << at;
    EXPECT_EQ(lseek(file.get(), 1 << 20, SEEK_HOLE), (1 << 20) + 4096) << at;
    EXPECT_EQ(lseek(file.get(), 2 << 20, SEEK_DATA), -1) << at;
    EXPECT_EQ(errno, ENXIO) << at;
  }
}

TEST_F(Features, DirectInputAndOutputPassTheCaches) {
  constexpr size_t kSize = size_t{2} << 20;
  const Aligned memory = AlignedMemory(kSize);
  for (const std::string& at : {pair_.tree, pair_.native}) {
    const unique_fd file(open((at + "/f").c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);
    std::memset(memory.get(), 'd', kSize);
    EXPECT_EQ(pwrite(file.get(), memory.get(), kSize, 0), static_cast<ssize_t>(kSize)) << at;
    EXPECT_EQ(pread(file.get(), memory.get(), kSize, 4096), static_cast<ssize_t>(kSize - 4096)) << at;
    // Bytes that are no whole sectors.
    EXPECT_EQ(pwrite(file.get(), memory.get(), 100, 0), -1) << at;
    EXPECT_EQ(errno, EINVAL) << at;
    EXPECT_EQ(pread(file.get(), memory.get(), 512, 100), -1) << at;
    EXPECT_EQ(errno, EINVAL) << at;
    EXPECT_EQ(fcntl(file.get(), F_SETFL, 0), 0);
    EXPECT_EQ(pwrite(file.get(), "x", 1, 100), 1) << at;
  }
  // ext4's cache holds none of what was written: only of the page with the last byte.
  const std::string behind = pair_.behind_tree + "/f";
  const unique_fd file(open(behind.c_str(), O_RDONLY | O_CLOEXEC));
  void* map = mmap(nullptr, kSize, PROT_READ, MAP_SHARED, file.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  std::array<unsigned char, kSize / 4096> resident{};
  ASSERT_EQ(mincore(map, kSize, resident.data()), 0);
  munmap(map, kSize);
  EXPECT_EQ(resident[resident.size() / 2] & 1, 0);
  EXPECT_TRUE(ReadFile(behind).value_or("") == ReadFile(pair_.native + "/f").value_or("unread"));
}

TEST_F(Features, TimeOfBirth) {
  ASSERT_EQ(WriteFile(pair_.tree + "/f", "x"), 0);
  struct statx tree {};
  struct statx behind {};
  ASSERT_EQ(statx(AT_FDCWD, (pair_.tree + "/f").c_str(), 0, STATX_ALL, &tree), 0);
  ASSERT_EQ(statx(AT_FDCWD, (pair_.behind_tree + "/f").c_str(), 0, STATX_ALL, &behind), 0);
  if ((tree.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "this kernel's FUSE knows no time of birth (6.6 does)";
  EXPECT_EQ(tree.stx_btime.tv_sec, behind.stx_btime.tv_sec);
  EXPECT_EQ(tree.stx_btime.tv_nsec, behind.stx_btime.tv_nsec);
  EXPECT_EQ(tree.stx_mtime.tv_nsec, behind.stx_mtime.tv_nsec);
  EXPECT_EQ(tree.stx_size, behind.stx_size);
  EXPECT_EQ(tree.stx_mode, behind.stx_mode);
}

TEST_F(Features, MappingsAreCoherentBetweenOpens) {
  const std::string tree = pair_.tree + "/f";
  const std::string behind = pair_.behind_tree + "/f";
  for (const auto& [writer, reader] : {std::pair(tree, behind), std::pair(behind, tree)}) {
    ASSERT_EQ(WriteFile(behind, std::string(10000, '.')), 0);
    EXPECT_EQ(ReadFile(reader).value_or("unread")[5000], '.');
    {
      const unique_fd file(open(writer.c_str(), O_RDWR | O_CLOEXEC));
      void* map = mmap(nullptr, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
      ASSERT_NE(map, MAP_FAILED);
      static_cast<char*>(map)[5000] = 'm';
      munmap(map, 10000);
    }
    const unique_fd file(open(reader.c_str(), O_RDONLY | O_CLOEXEC));
    void* map = mmap(nullptr, 10000, PROT_READ, MAP_SHARED, file.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    EXPECT_EQ(static_cast<char*>(map)[5000], 'm') << "written at " << writer;
    munmap(map, 10000);
    void* apart = mmap(nullptr, 10000, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
    ASSERT_NE(apart, MAP_FAILED);
    static_cast<char*>(apart)[5000] = 'p';
    munmap(apart, 10000);
    EXPECT_EQ(ReadFile(writer).value_or("unread")[5000], 'm');
  }
}

TEST_F(Features, LocksOfEveryKindExclude) {
  for (const std::string& at : {pair_.tree, pair_.native}) {
    const std::string path = at + "/f";
    ASSERT_EQ(WriteFile(path, "x"), 0);
    const unique_fd one(open(path.c_str(), O_RDWR | O_CLOEXEC));
    const unique_fd other(open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(flock(one.get(), LOCK_EX), 0);
    EXPECT_EQ(flock(other.get(), LOCK_EX | LOCK_NB), -1);
    EXPECT_EQ(errno, EWOULDBLOCK);
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_len = 1;
    EXPECT_EQ(fcntl(one.get(), F_OFD_SETLK, &range), 0);
    EXPECT_EQ(fcntl(other.get(), F_OFD_SETLK, &range), -1);
    range.l_start = 1;
    EXPECT_EQ(fcntl(other.get(), F_OFD_SETLK, &range), 0);
    range.l_start = 2;
    EXPECT_EQ(fcntl(one.get(), F_SETLK, &range), 0);
    const pid_t child = fork();
    if (child == 0) _exit(fcntl(other.get(), F_SETLK, &range) == -1 && errno == EAGAIN ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << at;
  }
}

TEST_F(Features, RangesAreCopiedWithinAndBetweenFilesystems) {
  std::string content;
  for (int i = 0; content.size() < 300000; ++i) absl::StrAppend(&content, i, ",");
  ASSERT_EQ(WriteFile(pair_.tree + "/f", content), 0);
  for (const std::string& to : {pair_.tree + "/copy", pair_.native + "/copy"}) {
    const unique_fd from(open((pair_.tree + "/f").c_str(), O_RDONLY | O_CLOEXEC));
    const unique_fd copy(open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    // Between filesystems the kernel may refuse (and cp then reads and writes); what it does must be right.
    for (ssize_t copied = 1; copied > 0;) copied = copy_file_range(from.get(), nullptr, copy.get(), nullptr, 100000, 0);
    const std::string got = ReadFile(to).value_or("unread");
    EXPECT_TRUE(got == content || (got.empty() && to.starts_with(pair_.native))) << got.size();
  }
}

TEST_F(Features, HostileLinksLeadTheDaemonNowhere) {
  // Made natively, as a container could; each names something that only the daemon could reach in its own way.
  ASSERT_EQ(symlink("/etc/shadow", (pair_.behind_tree + "/absolute").c_str()), 0);
  ASSERT_EQ(symlink("/proc/self/root/etc/hostname", (pair_.behind_tree + "/magic").c_str()), 0);
  ASSERT_EQ(symlink("../../../../../../../../etc/hostname", (pair_.behind_tree + "/dots").c_str()), 0);
  for (const char* name : {"absolute", "magic", "dots"}) {
    const std::string path = pair_.tree + "/" + name;
    EXPECT_EQ(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC), -1);
    EXPECT_EQ(errno, ELOOP);
    EXPECT_EQ(lsetxattr(path.c_str(), "user.x", "1", 1, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(lchown(path.c_str(), 65534, 65534), 0);
    struct stat about {};
    ASSERT_EQ(lstat((pair_.behind_tree + "/" + name).c_str(), &about), 0);
    EXPECT_EQ(about.st_uid, 65534U);
    // Put where a file was, after the kernel has looked at it.
    const std::string swapped = absl::StrCat("swapped ", name);
    ASSERT_EQ(WriteFile(pair_.tree + "/" + swapped, "x"), 0);
    const unique_fd held(open((pair_.tree + "/" + swapped).c_str(), O_PATH | O_CLOEXEC));
    ASSERT_EQ(rename((pair_.behind_tree + "/" + name).c_str(), (pair_.behind_tree + "/" + swapped).c_str()), 0);
    EXPECT_EQ(open((pair_.tree + "/" + swapped).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC), -1);
    EXPECT_EQ(open(absl::StrCat("/proc/self/fd/", held.get()).c_str(), O_RDONLY | O_CLOEXEC), -1);
    EXPECT_EQ(errno, ESTALE);
  }
}

TEST_F(Features, SetuidBitsAndDeviceNodesAreInert) {
  Same("cp /usr/bin/id id; chmod 4755 id; setpriv --reuid 65534 --regid 65534 --clear-groups ./id -u");
  Same("mknod null c 1 3; cat null; echo x >null; mknod disk b 7 0; head -c 1 disk");
}

TEST_F(Features, SpaceIsTheDatasetsOwn) {
  const auto space = [](const std::string& path) {
    struct statvfs shown {};
    EXPECT_EQ(statvfs(path.c_str(), &shown), 0);
    return absl::StrCat(shown.f_blocks, " ", shown.f_files, " ", shown.f_bsize, " ", shown.f_namemax, " ",
                        shown.f_bfree);
  };
  ASSERT_EQ(WriteFile(pair_.tree + "/f", std::string(1 << 20, 'x')), 0);
  const std::string native = space(pair_.native);
  EXPECT_EQ(space(pair_.tree), native);
  EXPECT_EQ(space(pair_.tree + "/f"), native);
  EXPECT_EQ(space(SharedTwoPaths().tree()), native);
}

}  // namespace
}  // namespace flocker::testing
