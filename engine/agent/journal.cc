#include "engine/agent/journal.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {

std::string ToText(const Attachment& a) {
  const nlohmann::json json = {{"id", a.id.str()},           {"name", a.name},     {"mount_epoch", a.mount_epoch},
                               {"epoch", a.epoch},           {"serial", a.serial}, {"formatted", a.formatted},
                               {"drop", a.aim == Aim::kDrop}};
  return json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Attachment> AttachmentFromText(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    Attachment a;
    const auto id = DatasetId::Parse(json.at("id").get<std::string>());
    if (!id) return absl::InvalidArgumentError("its id is not a UUID");
    a.id = *id;
    a.name = json.at("name").get<std::string>();
    a.mount_epoch = json.at("mount_epoch").get<uint64_t>();
    a.epoch = json.at("epoch").get<uint64_t>();
    a.serial = json.at("serial").get<uint32_t>();
    a.formatted = json.at("formatted").get<bool>();
    if (json.at("drop").get<bool>()) a.aim = Aim::kDrop;
    return a;
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

absl::StatusOr<Journal> Journal::Open(const std::string& root) {
  Journal journal;
  journal.root_ = root;
  RETURN_IF_ERROR(MakeDirectories(absl::StrCat(root, "/journal"), 0711));
  journal.lock_ = unique_fd(open(absl::StrCat(root, "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!journal.lock_) return ErrnoStatus(errno, absl::StrCat("cannot open ", root, "/lock"));
  if (flock(journal.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("another flocker-agent runs on ", root));
  }
  const std::string node_file = absl::StrCat(root, "/node");
  auto text = ReadFile(node_file);
  if (absl::IsNotFound(text.status())) {
    text = absl::StrCat(NodeId::FromRandomHex(RandomHex(16)).str(), "\n");
    RETURN_IF_ERROR(ReplaceFile(node_file, *text));
  }
  RETURN_IF_ERROR(text.status());
  const auto node = NodeId::Parse(std::string(absl::StripSuffix(*text, "\n")));
  if (!node)
    return absl::DataLossError(absl::StrCat(node_file,
                                            " does not hold a UUID: restore it, or remove it to join "
                                            "as a new node"));
  journal.node_ = *node;
  const auto serial = ReadFile(absl::StrCat(root, "/serial"));
  if (serial.ok() && !absl::SimpleAtoi(absl::StripSuffix(*serial, "\n"), &journal.last_serial_)) {
    return absl::DataLossError(absl::StrCat(root, "/serial does not hold a number"));
  }
  if (!serial.ok() && !absl::IsNotFound(serial.status())) return serial.status();
  return journal;
}

std::string Journal::FileOf(const DatasetId& id, uint64_t mount_epoch) const {
  return absl::StrCat(root_, "/journal/", id.str(), ".", mount_epoch);
}

absl::StatusOr<std::vector<Attachment>> Journal::Load() const {
  std::vector<Attachment> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat(root_, "/journal"), error)) {
    const std::string path = entry.path().string();
    if (absl::EndsWith(path, ".new")) {
      std::filesystem::remove(entry.path(), error);  // half-written when the agent died; the old one stands
      continue;
    }
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    auto attachment = AttachmentFromText(text);
    if (!attachment.ok()) return Annotate(attachment.status(), path);
    all.push_back(*std::move(attachment));
  }
  if (error) return absl::InternalError(absl::StrCat("cannot read ", root_, "/journal: ", error.message()));
  return all;
}

absl::Status Journal::Put(const Attachment& attachment) const {
  return ReplaceFile(FileOf(attachment.id, attachment.mount_epoch), ToText(attachment));
}

absl::Status Journal::Erase(const DatasetId& id, uint64_t mount_epoch) const {
  const std::string path = FileOf(id, mount_epoch);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("cannot remove ", path));
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> Journal::NewSerial() {
  // 31 bits: the tree's inode numbers keep the highest bit for themselves.
  if (last_serial_ >= 0x7fffffff) return absl::ResourceExhaustedError("this node's serials are used up");
  RETURN_IF_ERROR(ReplaceFile(absl::StrCat(root_, "/serial"), absl::StrCat(last_serial_ + 1, "\n")));
  return ++last_serial_;
}

}  // namespace flocker
