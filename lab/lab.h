// Machines on one switch in one directory. It owns them all: when it goes, and when its process dies in any way, no
// QEMU is left.
//
//   <dir>/<machine>/   see machine.h
//   <dir>/net/         the switch's sockets; switch.log
//   <dir>/payload.tar
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lab/image.h"
#include "lab/machine.h"
#include "lab/switch.h"

namespace flocker::lab {

// A card by its name and its addresses. A machine's only card is called like the machine, one of several
// <machine>.<card>.
struct NamedCard {
  std::string name;
  std::vector<std::string> addresses;
};

class Lab {
 public:
  // Makes `dir` (short: unix sockets lie below it), the payload out of the project's binaries, and the switch.
  static absl::StatusOr<std::unique_ptr<Lab>> Create(const std::string& dir, const std::string& binaries);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // Does not start it.
  absl::StatusOr<Machine*> Add(const MachineOptions& options, const std::vector<NamedCard>& cards);

  // NotFound names those there are.
  absl::StatusOr<Machine*> Find(const std::string& name) const;
  std::vector<Machine*> machines() const;

  // Every link between a card of `a` and a card of `b` (a machine means all its cards), in both directions unless
  // `one_way`, which leaves b -> a as it is.
  absl::Status SetLinks(const std::string& a, const std::string& b, const Link& link, bool one_way = false);
  absl::Status Cut(const std::string& a, const std::string& b) { return SetLinks(a, b, {.cut = true}); }
  // All links whole and fast again.
  absl::Status Heal();
  // The same for every link there is.
  absl::Status SetAllLinks(const Link& link);

  // Those that are not whole and fast.
  const std::map<std::pair<std::string, std::string>, Link>& Links() const { return links_; }

  const Switch& network() const { return *network_; }
  const Image& image() const { return image_; }
  const std::string& dir() const { return dir_; }

 private:
  Lab(std::string dir, Image image, std::unique_ptr<Switch> network);
  absl::Status SetOne(const std::string& from, const std::string& to, const Link& link);
  absl::StatusOr<std::vector<std::string>> Ports(const std::string& name) const;

  const std::string dir_;
  const Image image_;
  const std::unique_ptr<Switch> network_;
  std::vector<std::string> ports_;
  std::map<std::pair<std::string, std::string>, Link> links_;
  std::map<std::string, std::unique_ptr<Machine>> machines_;
};

}  // namespace flocker::lab
