#include "tests/harness/tree_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "engine/base/unique_fd.h"

namespace flocker::testing {
namespace {

int Answer(int result) { return result == 0 ? 0 : errno; }

}  // namespace

int MakeDir(const std::string& path) { return Answer(mkdir(path.c_str(), 0755)); }

int Rename(const std::string& from, const std::string& to) { return Answer(rename(from.c_str(), to.c_str())); }

int RemoveDir(const std::string& path) { return Answer(rmdir(path.c_str())); }

int Open(const std::string& path) {
  const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? 0 : errno;
}

int WriteFile(const std::string& path, const std::string& content) {
  const unique_fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return errno;
  for (size_t done = 0; done < content.size();) {
    const ssize_t put = write(fd.get(), content.data() + done, content.size() - done);
    if (put < 0) return errno;
    done += static_cast<size_t>(put);
  }
  return Answer(fsync(fd.get()));
}

}  // namespace flocker::testing
