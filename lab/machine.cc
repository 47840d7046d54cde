#include "lab/machine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace flocker::lab {
namespace {

// Services end first, then datasets are unmounted while their LUN servers still run, then everybody ends (kill -1
// spares only init and this shell), and at last the data disk is free.
constexpr char kHalt[] =
    "sv -w 20 force-stop /run/services/*; umount -a -t ext4; kill -KILL -1; umount /data || mount -o remount,ro /data; "
    "busybox poweroff -f";

}  // namespace

Machine::Machine(MachineOptions options, const Image& image, std::string payload, std::string dir)
    : options_(std::move(options)),
      image_(image),
      payload_(std::move(payload)),
      dir_(std::move(dir)),
      disk_(dir_, options_.disk_bytes),
      qmp_(dir_ + "/qmp.sock"),
      guest_(dir_ + "/agent.sock") {}

void Machine::AddCard(Card card, int number) { cards_.emplace_back(std::move(card), number); }

std::vector<std::string> Machine::CommandLine() const {
  std::vector<std::string> addresses;
  for (size_t i = 0; i < cards_.size(); ++i) {
    for (const std::string& address : cards_[i].first.addresses) {
      addresses.push_back(absl::StrCat("eth", i, ":", address));
    }
  }
  std::string append = absl::StrCat("console=ttyS0 quiet panic=1 net.ifnames=0 LAB_NAME=", options_.name,
                                    " LAB_CARDS=", absl::StrJoin(addresses, ","),
                                    " LAB_SERVICES=", absl::StrJoin(options_.services, ","));
  for (const auto& [key, value] : options_.settings) absl::StrAppend(&append, " ", key, "=", value);

  std::vector<std::string> argv = {
      "qemu-system-x86_64", "-name", options_.name, "-M", "q35", "-accel", image_.accelerator, "-cpu",
      // Emulated by QEMU 7.2, Linux 6.12 corrupts its memory with cmpxchg16b.
      image_.accelerator == "kvm" ? "max" : "max,cx16=off", "-m", absl::StrCat(options_.memory_mib), "-nodefaults",
      "-no-user-config", "-display", "none", "-kernel", absl::StrCat(image_.dir, "/", options_.kernel, "/vmlinuz"),
      "-initrd", absl::StrCat(image_.dir, "/", options_.kernel, "/initrd"), "-append", append, "-serial",
      absl::StrCat("file:", dir_, "/console.log")};
  const auto add = [&argv](std::initializer_list<std::string> args) { argv.insert(argv.end(), args); };
  // Disks in the order init knows them by: image, payload, data.
  for (const auto& [id, path] : {std::pair{"root", image_.dir + "/root.img"}, std::pair{"payload", payload_}}) {
    add({"-blockdev", absl::StrCat("driver=raw,node-name=", id,
                                   ",read-only=on,file.driver=file,file.locking=off,file.filename=", path)});
    add({"-device", absl::StrCat("virtio-blk-pci,drive=", id)});
  }
  add({"-blockdev", absl::StrCat("driver=nbd,node-name=data,server.type=unix,server.path=", disk_.socket())});
  add({"-device", "virtio-blk-pci,drive=data,write-cache=on"});
  for (size_t i = 0; i < cards_.size(); ++i) {
    const auto& [card, number] = cards_[i];
    add({"-netdev", absl::StrCat("stream,server=off,addr.type=unix,id=net", i, ",addr.path=", card.socket)});
    add({"-device", absl::StrCat("virtio-net-pci,netdev=net", i, absl::StrFormat(",mac=52:54:00:77:00:%02x", number))});
  }
  add({"-chardev", absl::StrCat("socket,id=qmp,server=on,wait=off,path=", dir_, "/qmp.sock")});
  add({"-mon", "chardev=qmp,mode=control"});
  add({"-device", "virtio-serial-pci"});
  add({"-chardev", absl::StrCat("socket,id=console,server=on,wait=off,path=", dir_, "/console.sock")});
  add({"-device", "virtconsole,chardev=console,nr=0"});
  add({"-chardev", absl::StrCat("socket,id=agent,server=on,wait=off,path=", dir_, "/agent.sock")});
  add({"-device", "virtserialport,chardev=agent,nr=1,name=org.qemu.guest_agent.0"});
  add({"-device", "virtio-rng-pci"});
  return argv;
}

absl::Status Machine::Boot() {
  if (running()) return absl::FailedPreconditionError(absl::StrCat(name(), " runs already"));
  if (!image_.HasKernel(options_.kernel)) {
    return absl::NotFoundError(absl::StrCat("the image has no kernel ", options_.kernel, " (", image_.dir, ")"));
  }
  PowerCut();  // what is left of a machine that ended by itself
  RETURN_IF_ERROR(disk_.PowerOn());
  return Annotate(qemu_.Start(CommandLine(), dir_ + "/qemu.log"), name());
}

absl::Status Machine::WaitReady(absl::Duration timeout) {
  const absl::Status ready = guest_.WaitReady(absl::Now() + timeout);
  if (ready.ok()) return ready;
  return Annotate(ready, absl::StrCat(name(), running() ? " does not come up" : " ended", "; see ", dir_,
                                      "/console.log and qemu.log"));
}

absl::Status Machine::Shutdown(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  // The machine goes away below its own answer.
  const auto halted = guest_.Run(absl::StrCat("setsid bash -c '", kHalt, "' </dev/null >/dev/ttyS0 2>&1 &"), timeout);
  if (!halted.ok()) return Annotate(halted.status(), absl::StrCat("shutting down ", name()));
  if (!qemu_.WaitEnd(deadline - absl::Now())) {
    return absl::DeadlineExceededError(absl::StrCat(name(), " does not shut down; see ", dir_, "/console.log"));
  }
  PowerCut();
  return absl::OkStatus();
}

void Machine::PowerCut() {
  qemu_.Kill();  // first: with the disk gone first, it could still tell others of an error
  disk_.PowerOff();
  qmp_.Close();
  guest_.Close();
}

absl::Status Machine::Reset() {
  guest_.Close();
  return qmp_.Execute("system_reset").status();
}

absl::Status Machine::Pause() { return qmp_.Execute("stop").status(); }

absl::Status Machine::Resume() { return qmp_.Execute("cont").status(); }

}  // namespace flocker::lab
