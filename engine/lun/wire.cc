#include "engine/lun/wire.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lun {
namespace {

template <class Variant, size_t I = 0>
absl::StatusOr<Variant> ParseAs(const Header& header, std::span<const std::byte> packet) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return Refuse(Cause::kInvalid,
                  absl::StrCat("message of kind ", static_cast<int>(header.kind), " is not known here"));
  } else {
    using M = std::variant_alternative_t<I, Variant>;
    if (header.kind != M::kKind) return ParseAs<Variant, I + 1>(header, packet);
    if (packet.size() != sizeof(M)) {
      return Refuse(Cause::kInvalid, absl::StrCat("message of kind ", static_cast<int>(header.kind), " has ",
                                                  packet.size(), " bytes instead of ", sizeof(M)));
    }
    M message;
    std::memcpy(static_cast<void*>(&message), packet.data(), sizeof message);
    return Variant(message);
  }
}

template <class Variant>
absl::StatusOr<Variant> Parse(std::span<const std::byte> packet) {
  Header header;
  if (packet.size() < sizeof header) {
    return Refuse(Cause::kInvalid, absl::StrCat("packet of ", packet.size(), " bytes is too short for a message"));
  }
  std::memcpy(&header, packet.data(), sizeof header);
  if (header.magic != kWireMagic || header.version != kWireVersion || header.size != packet.size()) {
    return Refuse(Cause::kInvalid, absl::StrCat("not a message of version ", kWireVersion, " (version ", header.version,
                                                ", ", packet.size(), " bytes): agent and flocker-lun differ"));
  }
  return ParseAs<Variant>(header, packet);
}

}  // namespace

absl::StatusOr<Command> ParseCommand(std::span<const std::byte> packet) {
  auto command = Parse<Command>(packet);
  if (!command.ok()) return command;
  if (const auto* login = std::get_if<Login>(&*command)) {
    // They are handed to libiscsi as C strings.
    const bool ends = login->portal.ends() && login->target.ends() && login->initiator.ends() &&
                      login->chap_user.ends() && login->chap_secret.ends();
    if (!ends) return Refuse(Cause::kInvalid, "kLogin with text that does not end in its field");
  }
  return command;
}

absl::StatusOr<Report> ParseReport(std::span<const std::byte> packet) { return Parse<Report>(packet); }

}  // namespace flocker::lun
