#include "engine/ctl/support_bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/ctl/redaction.h"

namespace flocker {
namespace {

constexpr absl::Duration kCommandTimeout = absl::Seconds(20);

struct BundleCommand {
  const char* file;
  std::vector<std::string> argv;
};

// None of them touches a filesystem of a dataset, which might hang.
std::vector<BundleCommand> Commands() {
  return {
      {"uname.txt", {"uname", "-a"}},
      {"processes.txt", {"ps", "-eo", "pid,ppid,stat,etimes,rss,nlwp,wchan:20,comm", "--sort=pid"}},
      {"loop.txt", {"losetup", "--list", "--output", "NAME,BACK-FILE,SIZELIMIT,DIO,RO"}},
      {"network.txt", {"ss", "-tlnp"}},
      {"kernel.log", {"dmesg", "--ctime"}},
      {"flocker.log",
       {"journalctl", "--no-pager", "--since", "-1day", "-u", "flocker-control", "-u", "flocker-agent", "-u",
        "flocker-fs", "-u", "tgt"}},
  };
}

}  // namespace

void AddMachine(const std::string& configuration, BundleFiles& files) {
  for (const BundleCommand& command : Commands()) {
    const auto result = RunCommand(command.argv, kCommandTimeout);
    files[command.file] = result.ok() ? result->output : absl::StrCat(result.status().message(), "\n");
  }
  for (const char* table : {"mountinfo", "status", "limits", "cgroup"}) {
    const auto text = ReadFile(absl::StrCat("/proc/self/", table));
    files[absl::StrCat(table, ".txt")] = text.ok() ? *text : absl::StrCat(text.status().message(), "\n");
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(configuration, error)) {
    const std::string extension = entry.path().extension();
    if (extension != ".yml" && extension != ".yaml") continue;
    const auto text = ReadFile(entry.path());
    files[entry.path().filename()] = text.ok() ? *text : absl::StrCat(text.status().message(), "\n");
  }
}

absl::Status WriteBundle(const BundleFiles& files, const std::string& path) {
  if (std::filesystem::exists(path)) {
    return Refuse(Cause::kExists, absl::StrCat(path, " exists; give another name, or remove it"));
  }
  const char* temporary = std::getenv("TMPDIR");
  std::string directory = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/flocker-support.XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) return ErrnoStatus(errno, absl::StrCat("cannot make ", directory));
  const auto removed = absl::MakeCleanup([&directory] {
    std::error_code error;
    std::filesystem::remove_all(directory, error);
  });
  const std::string inside = std::filesystem::path(directory).filename();
  for (const auto& [name, text] : files) {
    RETURN_IF_ERROR(ReplaceFile(absl::StrCat(directory, "/", name), Redacted(text)));
  }
  const mode_t before = umask(077);
  const auto packed = RunChecked({"tar", "--create", "--gzip", "--file", path, "--directory",
                                  std::filesystem::path(directory).parent_path().string(), inside},
                                 kCommandTimeout);
  umask(before);
  return packed.status();
}

}  // namespace flocker
