// Random operations on one file, each done to the tree's and to ext4's, and what is read compared.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/random_run.h"
#include "tests/harness/two_paths.h"

namespace flocker::testing {
namespace {

constexpr size_t kMaxSize = size_t{1} << 20;

struct Operation {
  enum Kind {
    kWrite,
    kRead,
    kTruncate,
    kAllocate,
    kKeepSize,
    kPunch,
    kZero,
    kMapWrite,
    kMapRead,
    kCopy,
    kReopen,
    kSync,
    kKinds
  };
  int kind = kWrite;
  off_t offset = 0;
  off_t to = 0;
  size_t size = 0;
  char fill = 'x';
};

class File {
 public:
  explicit File(std::string path) : path_(std::move(path)) { Open(O_CREAT); }

  // What came of it: a result or -errno, and what was read.
  std::pair<ssize_t, std::string> Do(const Operation& op) {
    const std::string data(op.size, op.fill);
    const int fd = fd_.get();
    const auto length = static_cast<off_t>(op.size);
    switch (op.kind) {
      case Operation::kWrite:
        return {Whole(pwrite(fd, data.data(), data.size(), op.offset)), ""};
      case Operation::kRead:
        return Read(op.offset, op.size);
      case Operation::kTruncate:
        return {Whole(ftruncate(fd, op.offset)), ""};
      case Operation::kAllocate:
        return {Whole(fallocate(fd, 0, op.offset, length)), ""};
      case Operation::kKeepSize:
        return {Whole(fallocate(fd, FALLOC_FL_KEEP_SIZE, op.offset, length)), ""};
      case Operation::kPunch:
        return {Whole(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op.offset, length)), ""};
      case Operation::kZero:
        return {Whole(fallocate(fd, FALLOC_FL_ZERO_RANGE, op.offset, length)), ""};
      case Operation::kMapWrite:
        return Map(op, PROT_READ | PROT_WRITE);
      case Operation::kMapRead:
        return Map(op, PROT_READ);
      case Operation::kCopy: {
        off_t from = op.offset;
        off_t to = op.to;
        return {Whole(copy_file_range(fd, &from, fd, &to, op.size, 0)), ""};
      }
      case Operation::kReopen:
        Open(0);
        return {0, ""};
      default:
        return {Whole(fdatasync(fd)), ""};
    }
  }

  off_t size() const {
    struct stat about {};
    return fstat(fd_.get(), &about) == 0 ? about.st_size : -errno;
  }
  std::pair<ssize_t, std::string> Read(off_t offset, size_t size) const {
    std::string data(size, '\0');
    const ssize_t got = pread(fd_.get(), data.data(), size, offset);
    data.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return {Whole(got), data};
  }

 private:
  static ssize_t Whole(ssize_t result) { return result < 0 ? -errno : result; }
  void Open(int flags) {
    fd_.reset();
    fd_.reset(open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0644));
  }
  // Through a mapping of the part of the range that is in the file.
  std::pair<ssize_t, std::string> Map(const Operation& op, int protection) const {
    const off_t end = std::min(op.offset + static_cast<off_t>(op.size), size());
    if (end <= op.offset) return {0, ""};
    const auto whole = static_cast<size_t>(end);
    void* map = mmap(nullptr, whole, protection, MAP_SHARED, fd_.get(), 0);
    if (map == MAP_FAILED) return {-errno, ""};
    char* from = static_cast<char*>(map) + op.offset;
    const auto length = static_cast<size_t>(end - op.offset);
    if ((protection & PROT_WRITE) != 0) std::memset(from, op.fill, length);
    std::string seen(from, length);
    const ssize_t synced = Whole(msync(map, whole, MS_SYNC));
    munmap(map, whole);
    return {synced, seen};
  }

  const std::string path_;
  unique_fd fd_;
};

std::string Text(const Operation& op) {
  static constexpr std::array kNames = {"write", "read",      "truncate", "allocate", "keep size", "punch",
                                        "zero",  "map+write", "map+read", "copy",     "reopen",    "sync"};
  return absl::StrCat(kNames[static_cast<size_t>(op.kind)], " ", op.offset, "+", op.size, " to ", op.to);
}

TEST(RandomFile, HasTheSameContentInTheTreeAndOnExt4) {
  TwoPaths& paths = SharedTwoPaths();
  ASSERT_TRUE(paths.ready());
  RandomRun run("tree_files_tests --gtest_filter=RandomFile.*");
  while (const auto seed = run.Next()) {
    const TwoPaths::Pair pair = paths.MakePair();
    std::mt19937_64 random(*seed);
    File tree(pair.tree + "/file");
    File native(pair.native + "/file");
    File behind(pair.behind_tree + "/file");  // the tree's, reached natively
    std::string history;
    for (int i = 0; i < 500; ++i) {
      Operation op;
      op.kind = static_cast<int>(random() % Operation::kKinds);
      op.offset = static_cast<off_t>(random() % kMaxSize);
      op.to = static_cast<off_t>(random() % kMaxSize);
      op.size = 1 + random() % (random() % 4 == 0 ? 200000 : 9000);
      op.fill = static_cast<char>('a' + random() % 26);
      // Whole blocks half of the time.
      if (random() % 2 == 0) op.offset &= ~4095, op.to &= ~4095, op.size = (op.size + 4095) & ~size_t{4095};
      absl::StrAppend(&history, Text(op), "\n");
      const auto expected = native.Do(op);
      const auto got = tree.Do(op);
      ASSERT_EQ(got.first, expected.first) << history << run.Replay();
      ASSERT_TRUE(got.second == expected.second) << "other content\n" << history << run.Replay();
      ASSERT_EQ(tree.size(), native.size()) << history << run.Replay();
      if (i % 25 != 24) continue;
      // Somebody natively changes the tree's file, between two opens of it.
      const Operation theirs = {Operation::kWrite, op.to, 0, 5000, 'N'};
      native.Do(theirs);
      behind.Do(theirs);
      tree.Do({Operation::kReopen});
      const auto whole = native.Read(0, 2 * kMaxSize);
      ASSERT_TRUE(tree.Read(0, 2 * kMaxSize) == whole) << "the whole file, in the tree\n" << history << run.Replay();
      ASSERT_TRUE(behind.Read(0, 2 * kMaxSize) == whole) << "the same, natively\n" << history << run.Replay();
    }
    std::filesystem::remove_all(pair.tree);
    std::filesystem::remove_all(pair.native);
  }
}

}  // namespace
}  // namespace flocker::testing
