#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  std::string content;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<size_t>(got));
  }
}

absl::Status ReplaceFile(const std::string& path, const std::string& content, mode_t mode) {
  const std::string temporary = absl::StrCat(path, ".new");
  absl::Cleanup remove = [&] { unlink(temporary.c_str()); };
  {
    const unique_fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot create ", temporary));
    for (size_t done = 0; done < content.size();) {
      const ssize_t put = write(fd.get(), content.data() + done, content.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return ErrnoStatus(errno, absl::StrCat("cannot write ", temporary));
      done += static_cast<size_t>(put);
    }
    if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot sync ", temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename ", temporary, " to ", path));
  }
  std::move(remove).Cancel();
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return SyncDirectory(directory.empty() ? "." : directory);
}

absl::Status SyncDirectory(const std::string& path) {
  const unique_fd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || fsync(dir.get()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot sync the directory ", path));
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, absl::StrCat("cannot make directory ", part));
    }
  }
  return absl::OkStatus();
}

std::string RandomHex(size_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t got = getrandom(bytes.data() + done, size - done, 0);
    if (got > 0) done += static_cast<size_t>(got);
    if (got < 0 && errno != EINTR) std::abort();  // no randomness: nothing secret may be made
  }
  return absl::BytesToHexString(bytes);
}

}  // namespace flocker
