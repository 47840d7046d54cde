// Identities: UUIDs of datasets and nodes, as types that cannot be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace flocker {

// A UUID in its canonical text form: lower case, 36 characters (RFC 4122 §3). Empty only when default-constructed.
template <class Tag>
class Uuid {
 public:
  Uuid() = default;

  // Accepts either case; nothing but the canonical shape.
  static std::optional<Uuid> Parse(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    Uuid uuid;
    uuid.text_.assign(text);
    for (size_t i = 0; i < text.size(); ++i) {
      char& c = uuid.text_[i];
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash != (c == '-')) return std::nullopt;
      if (dash) continue;
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    }
    return uuid;
  }

  // A version 4 UUID out of 32 hex digits of randomness, which the caller draws: this room has none of its own.
  static Uuid FromRandomHex(std::string_view hex32) {
    std::string text(hex32.substr(0, 32));
    text[12] = '4';
    text[16] = "89ab"[static_cast<unsigned>(text[16]) % 4];
    for (const size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
    return *Parse(text);
  }

  const std::string& str() const { return text_; }
  std::string Short() const { return text_.substr(0, 8); }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Uuid&) const = default;

  template <class H>
  friend H AbslHashValue(H h, const Uuid& uuid) {
    return H::combine(std::move(h), uuid.text_);
  }

 private:
  std::string text_;
};

using DatasetId = Uuid<struct DatasetTag>;
using NodeId = Uuid<struct NodeTag>;

}  // namespace flocker

template <class Tag>
struct std::hash<flocker::Uuid<Tag>> {
  size_t operator()(const flocker::Uuid<Tag>& uuid) const { return std::hash<std::string>()(uuid.str()); }
};
