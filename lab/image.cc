#include "lab/image.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker::lab {
namespace {

constexpr char kEmulated[] = "tcg,thread=multi";
// A kernel under KVM is up in one; a host whose KVM does not work hangs or fails at once.
constexpr absl::Duration kProbeTimeout = absl::Seconds(10);

bool BootsWithKvm(const std::string& dir) {
  if (access("/dev/kvm", R_OK | W_OK) != 0) return false;
  const auto booted =
      RunCommand({"qemu-system-x86_64",
                  "-M",
                  "q35",
                  "-accel",
                  "kvm",
                  "-cpu",
                  "max",
                  "-m",
                  "256",
                  "-nodefaults",
                  "-no-user-config",
                  "-display",
                  "none",
                  "-no-reboot",
                  "-kernel",
                  dir + "/release/vmlinuz",
                  "-initrd",
                  dir + "/release/initrd",
                  "-append",
                  "console=ttyS0 quiet panic=-1 LAB_PROBE=1",
                  "-serial",
                  "stdio",
                  "-drive",
                  absl::StrCat("if=virtio,format=raw,readonly=on,file.locking=off,file=", dir, "/root.img")},
                 kProbeTimeout);
  return booted.ok() && absl::StrContains(booted->output, "lab: probe good");
}

// Where the answer is remembered: it holds for one boot of the host and one image.
std::string ProbeFile(const std::string& dir, const std::string& boot) {
  return absl::StrCat(std::filesystem::temp_directory_path().string(), "/flocker-lab-accelerator.", getuid(), ".",
                      std::filesystem::path(dir).filename().string(), ".", boot);
}

}  // namespace

bool Image::HasKernel(const std::string& kernel) const {
  return access(absl::StrCat(dir, "/", kernel, "/vmlinuz").c_str(), R_OK) == 0;
}

absl::StatusOr<Image> FindImage() {
  ASSIGN_OR_RETURN(const CommandResult found,
                   RunCommand({FLOCKER_LAB_SOURCE "/image.sh", "--find"}, absl::Seconds(30)));
  if (found.exit_code != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the lab's image is not built: run `sudo scripts/lab image`\n", found.output));
  }
  Image image;
  image.dir = std::string(absl::StripAsciiWhitespace(found.output));
  ASSIGN_OR_RETURN(const std::string boot, ReadFile("/proc/sys/kernel/random/boot_id"));
  const std::string remembered = ProbeFile(image.dir, std::string(absl::StripAsciiWhitespace(boot)));
  if (auto known = ReadFile(remembered); known.ok()) {
    image.accelerator = *known;
  } else {
    image.accelerator = BootsWithKvm(image.dir) ? "kvm" : kEmulated;
    RETURN_IF_ERROR(ReplaceFile(remembered, image.accelerator));
  }
  return image;
}

}  // namespace flocker::lab
