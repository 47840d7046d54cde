#include "tests/harness/numbered_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {
namespace {

constexpr int kWriters = 4;
constexpr size_t kBlock = 4096;

struct alignas(kBlock) Block {
  std::array<char, 24> mark;
  uint64_t number;
  std::array<char, kBlock - 32> rest;
};
static_assert(sizeof(Block) == kBlock);

Block Record(const std::string& mark, uint64_t number) {
  Block block{};
  mark.copy(block.mark.data(), block.mark.size() - 1);
  block.number = number;
  return block;
}

bool WriteRecord(int fd, const std::string& mark, uint64_t number) {
  const Block block = Record(mark, number);
  const auto slot = static_cast<off_t>(number % NumberedWriter::kSlots);
  return pwrite(fd, &block, kBlock, slot * static_cast<off_t>(kBlock)) == static_cast<ssize_t>(kBlock);
}

int OpenSlots(const std::string& file, int more) {
  return open(file.c_str(), O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC | more, 0600);
}

}  // namespace

struct NumberedWriter::Shared {
  std::atomic<uint64_t> last = 0;  // number given out
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<int> error = 0;
};

NumberedWriter::NumberedWriter(const std::string& file, const std::string& mark) : file_(file), mark_(mark) {
  void* shared = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || !FillWith(file, "empty").ok()) std::abort();
  shared_ = new (shared) Shared;
  const pid_t parent = getpid();
  for (int i = 0; i < kWriters; ++i) {
    const pid_t child = fork();
    if (child < 0) std::abort();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() == parent) Write();
      _exit(0);
    }
    children_.push_back(child);
  }
}

NumberedWriter::~NumberedWriter() {
  Kill();
  for (const pid_t child : children_) waitpid(child, nullptr, 0);
  munmap(shared_, sizeof(Shared));
}

void NumberedWriter::Write() const {
  const int fd = OpenSlots(file_, 0);
  if (fd < 0) shared_->error = errno;
  while (fd >= 0) {
    const uint64_t number = ++shared_->last;
    if (WriteRecord(fd, mark_, number)) {
      uint64_t seen = shared_->acknowledged;
      while (seen < number && !shared_->acknowledged.compare_exchange_weak(seen, number)) {
      }
    } else {
      int none = 0;
      shared_->error.compare_exchange_strong(none, errno);
      usleep(1000);  // it goes on trying, but not as fast as it can
    }
  }
}

uint64_t NumberedWriter::acknowledged() const { return shared_->acknowledged; }
int NumberedWriter::error() const { return shared_->error; }

void NumberedWriter::Kill() {
  for (const pid_t child : children_) kill(child, SIGKILL);
}

bool NumberedWriter::Ended() {
  std::erase_if(children_, [](pid_t child) { return waitpid(child, nullptr, WNOHANG) == child; });
  return children_.empty();
}

absl::StatusOr<uint64_t> HighestNumber(const std::string& path, const std::string& mark) {
  const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  const Block wanted = Record(mark, 0);
  uint64_t highest = 0;
  off_t at = 0;
  while ((at = lseek(fd.get(), at, SEEK_DATA)) >= 0) {
    const off_t end = lseek(fd.get(), at, SEEK_HOLE);
    for (; at < end; at += static_cast<off_t>(kBlock)) {
      Block block{};
      if (pread(fd.get(), &block, kBlock, at) < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
      if (block.mark == wanted.mark) highest = std::max(highest, block.number);
    }
  }
  return highest;
}

absl::Status FillWith(const std::string& file, const std::string& mark) {
  const unique_fd fd(OpenSlots(file, O_CREAT));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", file));
  for (uint64_t number = 1; number <= NumberedWriter::kSlots; ++number) {
    if (!WriteRecord(fd.get(), mark, number)) return ErrnoStatus(errno, absl::StrCat("cannot write to ", file));
  }
  return absl::OkStatus();
}

}  // namespace flocker::testing
