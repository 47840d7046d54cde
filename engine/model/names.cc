#include "engine/model/names.h"

#include <algorithm>
#include <boost/locale/utf.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/ids.h"

namespace flocker {
namespace {

constexpr size_t kMaxName = 128;

bool NameChar(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-'; }

}  // namespace

absl::Status CheckName(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    const std::string quoted = absl::CHexEscape(absl::string_view(name.data(), std::min(name.size(), kMaxName)));
    return Refuse(Cause::kInvalid, absl::StrCat("'", quoted, "' cannot be a name: ", std::string(why)));
  };
  if (name.empty()) return refuse("it is empty");
  if (name.size() > kMaxName) return refuse("it is longer than 128 characters");
  if (!std::all_of(name.begin(), name.end(), NameChar)) return refuse("only A-Z a-z 0-9 _ . - are allowed");
  if (!absl::ascii_isalnum(static_cast<unsigned char>(name[0]))) return refuse("it must begin with a letter or digit");
  if (name == "self") return refuse("the word is reserved");
  if (DatasetId::Parse(name)) return refuse("a UUID names the dataset that has it");
  return absl::OkStatus();
}

std::optional<size_t> CountCharacters(std::string_view text) {
  using Utf8 = boost::locale::utf::utf_traits<char>;
  size_t count = 0;
  for (const char* at = text.data(); at != text.data() + text.size(); ++count) {
    if (!boost::locale::utf::is_valid_codepoint(Utf8::decode(at, text.data() + text.size()))) return std::nullopt;
  }
  return count;
}

}  // namespace flocker
