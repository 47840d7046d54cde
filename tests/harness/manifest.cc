#include "tests/harness/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

class Walk {
 public:
  Walk(std::string root, const ManifestOptions& options) : root_(std::move(root)), options_(options) {}

  std::vector<std::string> Lines() && {
    Describe("");
    return std::move(lines_);
  }

 private:
  void Describe(const std::string& path) {
    const std::string whole = root_ + path;
    struct stat about {};
    std::string line = absl::StrCat(path.empty() ? "." : absl::CHexEscape(path.substr(1)), "  ");
    if (lstat(whole.c_str(), &about) != 0) {
      lines_.push_back(absl::StrCat(line, strerrorname_np(errno)));
      return;
    }
    absl::StrAppend(&line, "mode ", absl::Hex(about.st_mode), " owner ", about.st_uid, ":", about.st_gid, " links ",
                    about.st_nlink);
    if (!S_ISDIR(about.st_mode)) absl::StrAppend(&line, " size ", about.st_size);
    if (S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode)) absl::StrAppend(&line, " device ", about.st_rdev);
    if (options_.times) absl::StrAppend(&line, " mtime ", about.st_mtim.tv_sec, ".", about.st_mtim.tv_nsec);
    if (!S_ISDIR(about.st_mode) && about.st_nlink > 1) {
      const auto [first, fresh] = first_names_.emplace(about.st_ino, path);
      if (!fresh) absl::StrAppend(&line, " same as ", absl::CHexEscape(first->second));
    }
    if (S_ISLNK(about.st_mode)) absl::StrAppend(&line, " -> ", Target(whole));
    if (S_ISREG(about.st_mode)) absl::StrAppend(&line, Content(whole));
    absl::StrAppend(&line, Attributes(whole));
    lines_.push_back(std::move(line));
    if (S_ISDIR(about.st_mode)) Children(path);
  }

  void Children(const std::string& path) {
    const std::unique_ptr<DIR, CloseDirectory> directory(opendir((root_ + path).c_str()));
    if (directory == nullptr) {
      lines_.push_back(absl::StrCat(path, ": opendir ", strerrorname_np(errno)));
      return;
    }
    std::vector<std::string> names;
    while (const dirent* entry = readdir(directory.get())) {
      const std::string name = static_cast<const char*>(entry->d_name);
      if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) Describe(absl::StrCat(path, "/", name));
  }

  static std::string Target(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = readlink(path.c_str(), target.data(), target.size());
    return size < 0 ? strerrorname_np(errno) : absl::CHexEscape({target.data(), static_cast<size_t>(size)});
  }

  std::string Content(const std::string& path) const {
    const unique_fd file(open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
    if (!file) return absl::StrCat(" open ", strerrorname_np(errno));
    uint64_t sum = 14695981039346656037U;  // FNV-1a
    std::vector<char> buffer(size_t{1} << 20);
    ssize_t got = 0;
    while ((got = read(file.get(), buffer.data(), buffer.size())) > 0) {
      for (ssize_t i = 0; i < got; ++i) {
        sum = (sum ^ static_cast<unsigned char>(buffer[static_cast<size_t>(i)])) * 1099511628211U;
      }
    }
    std::string text = got < 0 ? absl::StrCat(" read ", strerrorname_np(errno)) : absl::StrCat(" sum ", absl::Hex(sum));
    if (options_.blocks) absl::StrAppend(&text, Extents(file.get()));
    return text;
  }

  static std::string Extents(int file) {
    std::string text = " data";
    off_t at = 0;
    while ((at = lseek(file, at, SEEK_DATA)) >= 0) {
      const off_t end = lseek(file, at, SEEK_HOLE);
      absl::StrAppend(&text, " ", at, "-", end);
      if (end <= at) break;
      at = end;
    }
    return text;
  }

  static std::string Attributes(const std::string& path) {
    std::string names(XATTR_LIST_MAX, '\0');
    const ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
    if (size < 0) return absl::StrCat(" xattrs ", strerrorname_np(errno));
    names.resize(static_cast<size_t>(size));
    std::vector<std::string> sorted = absl::StrSplit(names, '\0', absl::SkipEmpty());
    std::sort(sorted.begin(), sorted.end());
    std::string text;
    for (const std::string& name : sorted) {
      std::string value(XATTR_SIZE_MAX, '\0');
      const ssize_t got = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
      value.resize(got < 0 ? 0 : static_cast<size_t>(got));
      absl::StrAppend(&text, " ", absl::CHexEscape(name), "=",
                      got < 0 ? strerrorname_np(errno) : absl::BytesToHexString(value));
    }
    return text;
  }

  const std::string root_;
  const ManifestOptions options_;
  std::vector<std::string> lines_;
  std::map<ino_t, std::string> first_names_;
};

}  // namespace

std::vector<std::string> Manifest(const std::string& directory, const ManifestOptions& options) {
  return Walk(directory, options).Lines();
}

}  // namespace flocker::testing
