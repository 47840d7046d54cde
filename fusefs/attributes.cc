#include "fusefs/attributes.h"

#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/names.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

constexpr auto kReadOnly =
    std::to_array<std::string_view>({"id", "used", "state", "node", "epoch", "error", "holders", "created", "all"});

std::string Quoted(std::string_view name) {
  return absl::StrCat(kAttributePrefix, absl::CHexEscape(std::string(name)));
}

absl::StatusOr<ChangeWish> ParseLabel(std::string_view name, std::optional<std::string_view> value, int flags) {
  const std::string key(name.substr(kMetadataPrefix.size()));
  if (key.empty() || !CountCharacters(key) || (value && !CountCharacters(*value))) {
    return Refuse(Cause::kInvalid, absl::StrCat(Quoted(name), ": a label has a name, and both are UTF-8"));
  }
  ChangeWish wish;
  if (!value) {
    wish.removed.push_back(key);
    wish.keys = ChangeWish::Keys::kPresent;
    return wish;
  }
  wish.metadata[key] = std::string(*value);
  if ((flags & XATTR_CREATE) != 0) wish.keys = ChangeWish::Keys::kNew;
  if ((flags & XATTR_REPLACE) != 0) wish.keys = ChangeWish::Keys::kPresent;
  return wish;
}

}  // namespace

absl::StatusOr<ChangeWish> ParseChange(std::string_view name, std::optional<std::string_view> value, int flags) {
  if (name.starts_with(kMetadataPrefix)) return ParseLabel(name, value, flags);
  if (std::find(kReadOnly.begin(), kReadOnly.end(), name) != kReadOnly.end()) {
    return Refuse(Cause::kForbidden, absl::StrCat(Quoted(name), " is only to be read"));
  }
  const bool size = name == "size";
  if (!size && name != "protect") return Refuse(Cause::kNotFound, absl::StrCat("there is no ", Quoted(name)));
  if (!value) return Refuse(Cause::kForbidden, absl::StrCat(Quoted(name), " cannot be removed"));
  if ((flags & XATTR_CREATE) != 0) return Refuse(Cause::kExists, absl::StrCat(Quoted(name), " exists"));
  ChangeWish wish;
  if (size) {
    ASSIGN_OR_RETURN(wish.size, ParseSize(*value));
    return wish;
  }
  if (*value != "0" && *value != "1") return Refuse(Cause::kInvalid, "flocker.protect is 0 or 1");
  wish.protect = *value == "1";
  return wish;
}

}  // namespace flocker
