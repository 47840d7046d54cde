// Files inside a dataset that is attached here: what ext4 would do, done as the caller.
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/catalog/inode_numbers.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

class FilesTest : public Rig {
 protected:
  void SetUp() override {
    Rig::SetUp();
    if (!IsSkipped()) data_ = Attached("data");
  }
  std::string In(const std::string& path) const { return Tree("alpha/data/" + path); }
  std::string Behind(const std::string& path) const { return Native(data_) + "/" + path; }

  CatalogDataset data_;
};

struct stat Stat(const std::string& path) {
  struct stat attributes {};
  EXPECT_EQ(lstat(path.c_str(), &attributes), 0) << path << ": " << strerror(errno);
  return attributes;
}

std::string Content(const std::string& path) {
  const auto content = ReadFile(path);
  return content.ok() ? *content : std::string(content.status().message());
}

int Errno(int result) { return result == 0 ? 0 : errno; }

constexpr uid_t kUser = 1000;
const Identity kAlice = {kUser, kUser, {}, 022};
const Identity kBob = {1001, 1001, {2000}, 027};

TEST_F(FilesTest, BothPathsShowOneFilesystem) {
  ASSERT_EQ(WriteFile(In("file"), "through the tree"), 0);
  EXPECT_EQ(Content(Behind("file")), "through the tree");
  ASSERT_EQ(WriteFile(Behind("file"), "through the native path, and longer"), 0);
  EXPECT_EQ(Content(In("file")), "through the native path, and longer");
  ASSERT_EQ(unlink(Behind("file").c_str()), 0);
  EXPECT_EQ(testing::Open(In("file")), ENOENT);
}

TEST_F(FilesTest, InodeNumbersCarryTheSerial) {
  ASSERT_EQ(WriteFile(In("file"), ""), 0);
  EXPECT_EQ(Stat(In("file")).st_ino, FileInode(data_.serial, Stat(Behind("file")).st_ino));
  EXPECT_EQ(Stat(In("")).st_ino, FileInode(data_.serial, kExt4RootInode));
}

TEST_F(FilesTest, FilesBelongToWhoMadeThem) {
  ASSERT_EQ(chmod(In("").c_str(), 0777), 0);
  ASSERT_EQ(As(kAlice, [&] { return WriteFile(In("alice"), "x"); }), 0);
  ASSERT_EQ(As(kBob, [&] { return Errno(mkdir(In("bob").c_str(), 0777)); }), 0);
  const struct stat alice = Stat(Behind("alice"));
  EXPECT_EQ(alice.st_uid, kUser);
  EXPECT_EQ(alice.st_gid, kUser);
  EXPECT_EQ(alice.st_mode, static_cast<mode_t>(S_IFREG | 0644));
  const struct stat bob = Stat(Behind("bob"));
  EXPECT_EQ(bob.st_uid, 1001U);
  EXPECT_EQ(bob.st_mode, static_cast<mode_t>(S_IFDIR | 0750));
}

TEST_F(FilesTest, SetgidDirectoriesPassTheirGroupOn) {
  ASSERT_EQ(mkdir(In("shared").c_str(), 0777), 0);
  ASSERT_EQ(chown(In("shared").c_str(), 0, 2000), 0);
  ASSERT_EQ(chmod(In("shared").c_str(), 02777), 0);
  ASSERT_EQ(As(kBob, [&] { return WriteFile(In("shared/file"), "x"); }), 0);
  EXPECT_EQ(Stat(Behind("shared/file")).st_gid, 2000U);
}

TEST_F(FilesTest, PermissionsAreTheCallersIncludingItsGroups) {
  ASSERT_EQ(WriteFile(In("secret"), "x"), 0);
  ASSERT_EQ(chmod(In("secret").c_str(), 0640), 0);
  ASSERT_EQ(chown(In("secret").c_str(), 0, 2000), 0);
  ASSERT_EQ(mkdir(In("closed").c_str(), 0700), 0);
  ASSERT_EQ(WriteFile(In("closed/file"), "x"), 0);
  EXPECT_EQ(As(kAlice, [&] { return testing::Open(In("secret")); }), EACCES);
  EXPECT_EQ(As(kBob, [&] { return testing::Open(In("secret")); }), 0);
  EXPECT_EQ(As(kAlice, [&] { return WriteFile(In("new"), "x"); }), EACCES);
  EXPECT_EQ(As(kAlice, [&] { return testing::Open(In("closed/file")); }), EACCES);
  EXPECT_EQ(As(kAlice, [&] { return Errno(unlink(In("secret").c_str())); }), EACCES);
  EXPECT_EQ(As(kAlice, [&] { return Errno(chmod(In("secret").c_str(), 0777)); }), EPERM);
  EXPECT_EQ(As(kAlice, [&] { return Errno(chown(In("secret").c_str(), kUser, kUser)); }), EPERM);
  EXPECT_EQ(As(kAlice, [&] { return Errno(access(In("secret").c_str(), R_OK)); }), EACCES);
  EXPECT_EQ(As(kBob, [&] { return Errno(access(In("secret").c_str(), R_OK)); }), 0);
  EXPECT_EQ(As(kAlice, [&] { return Errno(truncate(In("secret").c_str(), 0)); }), EACCES);
}

TEST_F(FilesTest, WritingTakesTheSetuidBitAway) {
  ASSERT_EQ(WriteFile(In("tool"), "x"), 0);
  ASSERT_EQ(chown(In("tool").c_str(), 0, 2000), 0);
  ASSERT_EQ(chmod(In("tool").c_str(), 06775), 0);
  ASSERT_EQ(As(kBob,
               [&] {
                 const unique_fd fd(open(In("tool").c_str(), O_WRONLY));
                 return fd && write(fd.get(), "y", 1) == 1 ? 0 : errno;
               }),
            0);
  EXPECT_EQ(Stat(Behind("tool")).st_mode, static_cast<mode_t>(S_IFREG | 0775));
}

TEST_F(FilesTest, NamesAreMadeLinkedRenamedAndRemoved) {
  ASSERT_EQ(WriteFile(In("a"), "content"), 0);
  ASSERT_EQ(link(In("a").c_str(), In("b").c_str()), 0);
  EXPECT_EQ(Stat(In("a")).st_ino, Stat(In("b")).st_ino);
  EXPECT_EQ(Stat(In("a")).st_nlink, 2U);
  ASSERT_EQ(mkdir(In("dir").c_str(), 0755), 0);
  ASSERT_EQ(rename(In("b").c_str(), In("dir/c").c_str()), 0);
  EXPECT_EQ(Content(Behind("dir/c")), "content");
  EXPECT_EQ(renameat2(AT_FDCWD, In("a").c_str(), AT_FDCWD, In("dir/c").c_str(), RENAME_NOREPLACE), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(renameat2(AT_FDCWD, In("a").c_str(), AT_FDCWD, In("dir").c_str(), RENAME_EXCHANGE), 0);
  EXPECT_EQ(Content(Behind("dir")), "content");
  EXPECT_EQ(rmdir(In("a").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  ASSERT_EQ(symlink("../data/dir", In("link").c_str()), 0);
  EXPECT_EQ(Content(In("link")), "content");
  std::array<char, 64> target{};
  EXPECT_EQ(readlink(In("link").c_str(), target.data(), target.size()), 11);
  EXPECT_EQ(mkfifo(In("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(S_ISFIFO(Stat(Behind("fifo")).st_mode));
  EXPECT_EQ(unlink(In("a/c").c_str()), 0);
  EXPECT_EQ(rmdir(In("a").c_str()), 0);
}

TEST_F(FilesTest, NothingLeavesADatasetByRenameOrLink) {
  Attached("other");
  ASSERT_EQ(WriteFile(In("file"), "x"), 0);
  ASSERT_EQ(mkdir(In("dir").c_str(), 0755), 0);
  EXPECT_EQ(testing::Rename(In("file"), Tree("alpha/other/file")), EXDEV);
  EXPECT_EQ(testing::Rename(In("dir"), Tree("alpha/dir")), EXDEV);
  EXPECT_EQ(testing::Rename(Tree("alpha/other"), In("other")), EXDEV);
  EXPECT_EQ(link(In("file").c_str(), Tree("alpha/other/file").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(FilesTest, SymlinksAreNeverFollowedByTheDaemon) {
  const std::string outside = scratch_ / "outside";
  ASSERT_TRUE(ReplaceFile(outside, "outside").ok());
  ASSERT_EQ(symlink(outside.c_str(), In("link").c_str()), 0);
  const mode_t mode = Stat(outside).st_mode;
  EXPECT_EQ(fchownat(AT_FDCWD, In("link").c_str(), 1, 1, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(Stat(outside).st_uid, 0U);
  EXPECT_EQ(Stat(Behind("link")).st_uid, 1U);
  EXPECT_EQ(lsetxattr(In("link").c_str(), "trusted.x", "1", 1, 0), 0);
  EXPECT_EQ(getxattr(outside.c_str(), "trusted.x", nullptr, 0), -1);
  EXPECT_EQ(link(In("link").c_str(), In("second").c_str()), 0);
  EXPECT_TRUE(S_ISLNK(Stat(Behind("second")).st_mode));
  EXPECT_EQ(Stat(outside).st_mode, mode);
}

TEST_F(FilesTest, AttributesCanBeSet) {
  ASSERT_EQ(WriteFile(In("file"), "0123456789"), 0);
  EXPECT_EQ(truncate(In("file").c_str(), 4), 0);
  EXPECT_EQ(Content(Behind("file")), "0123");
  const unique_fd fd(open(In("file").c_str(), O_RDWR));
  EXPECT_EQ(ftruncate(fd.get(), 2), 0);
  EXPECT_EQ(Stat(Behind("file")).st_size, 2);
  const std::array<timespec, 2> times = {{{1000, 5}, {2000, 7}}};
  EXPECT_EQ(utimensat(AT_FDCWD, In("file").c_str(), times.data(), 0), 0);
  EXPECT_EQ(Stat(Behind("file")).st_mtim.tv_sec, 2000);
  EXPECT_EQ(Stat(In("file")).st_atim.tv_nsec, 5);
  EXPECT_EQ(chown(In("file").c_str(), kUser, 2000), 0);
  EXPECT_EQ(Stat(Behind("file")).st_gid, 2000U);
}

TEST_F(FilesTest, OpenWithTruncateAppendAndExclusive) {
  ASSERT_EQ(WriteFile(In("file"), "0123456789"), 0);
  ASSERT_EQ(WriteFile(In("file"), "abc"), 0);  // O_TRUNC
  EXPECT_EQ(Content(Behind("file")), "abc");
  const unique_fd append(open(In("file").c_str(), O_WRONLY | O_APPEND));
  ASSERT_EQ(WriteFile(Behind("file"), "abcdef"), 0);  // the tree's kernel has not seen it grow
  EXPECT_EQ(write(append.get(), "X", 1), 1);
  EXPECT_EQ(Content(Behind("file")), "abcdefX");
  EXPECT_EQ(open(In("file").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600), -1);
  EXPECT_EQ(errno, EEXIST);
}

TEST_F(FilesTest, MappedFilesWork) {
  constexpr size_t kSize = 3 * 4096;
  ASSERT_EQ(WriteFile(In("file"), std::string(kSize, 'a')), 0);
  // Through a handle that appends, too: pages go where they belong.
  const unique_fd fd(open(In("file").c_str(), O_RDWR | O_APPEND));
  void* map = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  static_cast<char*>(map)[4096] = 'b';
  EXPECT_EQ(msync(map, kSize, MS_SYNC), 0);
  munmap(map, kSize);
  std::string expected(kSize, 'a');
  expected[4096] = 'b';
  EXPECT_EQ(Content(Behind("file")), expected);
}

TEST_F(FilesTest, LargeTransfersArriveWhole) {
  std::string content;
  for (int i = 0; content.size() < 5 << 20; ++i) absl::StrAppend(&content, i, " ");
  ASSERT_EQ(WriteFile(In("large"), content), 0);
  EXPECT_TRUE(Content(Behind("large")) == content);
  ASSERT_EQ(WriteFile(Behind("other"), content), 0);
  EXPECT_TRUE(Content(In("other")) == content);
  const unique_fd from(open(In("large").c_str(), O_RDONLY));
  const unique_fd to(open(In("copy").c_str(), O_WRONLY | O_CREAT, 0600));
  for (size_t done = 0; done < content.size();) {
    const ssize_t copied = copy_file_range(from.get(), nullptr, to.get(), nullptr, content.size() - done, 0);
    ASSERT_GT(copied, 0) << errno;
    done += static_cast<size_t>(copied);
  }
  EXPECT_TRUE(Content(Behind("copy")) == content);
}

TEST_F(FilesTest, HolesAllocationAndSpace) {
  const unique_fd fd(open(In("file").c_str(), O_RDWR | O_CREAT, 0600));
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 1 << 20), 0);
  EXPECT_EQ(Stat(Behind("file")).st_size, 1 << 20);
  EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
  EXPECT_EQ(pwrite(fd.get(), "x", 1, 512 << 10), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_DATA), 512 << 10);
  struct statvfs tree {};
  struct statvfs native {};
  ASSERT_EQ(statvfs(In("").c_str(), &tree), 0);
  ASSERT_EQ(statvfs(Behind("").c_str(), &native), 0);
  EXPECT_EQ(tree.f_blocks, native.f_blocks);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, 1 << 30), -1);
  EXPECT_EQ(errno, ENOSPC);
}

TEST_F(FilesTest, ExtendedAttributesPass) {
  ASSERT_EQ(WriteFile(In("file"), ""), 0);
  EXPECT_EQ(setxattr(In("file").c_str(), "user.color", "blue", 4, 0), 0);
  std::array<char, 64> value{};
  EXPECT_EQ(getxattr(Behind("file").c_str(), "user.color", value.data(), value.size()), 4);
  EXPECT_EQ(getxattr(In("file").c_str(), "user.color", value.data(), 2), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(listxattr(In("file").c_str(), value.data(), value.size()), 11);
  EXPECT_EQ(As(kAlice, [&] { return Errno(setxattr(In("file").c_str(), "user.x", "1", 1, 0)); }), EACCES);
  EXPECT_EQ(removexattr(In("file").c_str(), "user.color"), 0);
  EXPECT_EQ(getxattr(In("file").c_str(), "user.color", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(setxattr(In("").c_str(), "user.on-the-root", "1", 1, 0), 0);
  EXPECT_EQ(getxattr(Behind("").c_str(), "user.on-the-root", value.data(), value.size()), 1);
}

TEST_F(FilesTest, DeletedOpenFilesStayUsable) {
  const unique_fd fd(open(In("file").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(unlink(In("file").c_str()), 0);
  EXPECT_EQ(write(fd.get(), "still", 5), 5);
  struct stat attributes {};
  EXPECT_EQ(fstat(fd.get(), &attributes), 0) << errno;
  EXPECT_EQ(attributes.st_size, 5);
  EXPECT_EQ(attributes.st_nlink, 0U);
  std::array<char, 8> back{};
  EXPECT_EQ(pread(fd.get(), back.data(), back.size(), 0), 5);
}

TEST_F(FilesTest, DirectoriesOfManyEntriesAreReadWhole) {
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(mknod(Behind(absl::StrCat("file", i)).c_str(), S_IFREG | 0600, 0), 0);
  }
  DIR* directory = opendir(In("").c_str());
  ASSERT_NE(directory, nullptr);
  int files = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_type != DT_REG) continue;
    ++files;
    EXPECT_EQ(entry->d_ino >> 32, data_.serial);
  }
  EXPECT_EQ(files, 2000);
  rewinddir(directory);
  int again = 0;
  while (readdir(directory) != nullptr) ++again;
  EXPECT_EQ(again, files + 3);  // . .. lost+found
  EXPECT_EQ(fsync(dirfd(directory)), 0);
  closedir(directory);
}

}  // namespace
}  // namespace flocker::testing
