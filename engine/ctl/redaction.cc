#include "engine/ctl/redaction.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

constexpr std::array<std::string_view, 10> kSecretWords = {"secret",     "passw",      "passphrase", "token",
                                                           "access_key", "access-key", "accesskey",  "private_key",
                                                           "credential", "chap"};
constexpr std::string_view kInstead = "<redacted>";

bool InKey(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

// Where the value of a key begins whose name goes on at `at`; npos when no value follows.
size_t ValueAt(std::string_view line, size_t at) {
  const auto skip = [&](auto skipped) {
    while (at < line.size() && skipped(line[at])) ++at;
  };
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  skip(InKey);
  skip([](char c) { return c == '"' || c == '\''; });
  skip(blank);
  if (at == line.size() || (line[at] != ':' && line[at] != '=')) return std::string_view::npos;
  ++at;
  skip(blank);
  return at < line.size() && line[at] != '\n' ? at : std::string_view::npos;
}

// Behind the value: of a quoted one its quote, else what cannot be part of one.
size_t ValueEnd(std::string_view line, size_t at) {
  if (line[at] == '"' || line[at] == '\'') {
    const size_t quote = line.find(line[at], at + 1);
    return quote == std::string_view::npos ? line.size() : quote + 1;
  }
  return std::min(line.find_first_of(" \t\n,;}", at), line.size());
}

std::string WithoutSecretValues(std::string_view line) {
  const std::string lower = absl::AsciiStrToLower(absl::string_view(line.data(), line.size()));
  std::string clear;
  size_t copied = 0;
  while (true) {
    size_t word = std::string::npos;
    for (const std::string_view secret : kSecretWords) word = std::min(word, lower.find(secret, copied));
    if (word == std::string::npos) break;
    const size_t value = ValueAt(line, word);
    if (value == std::string_view::npos) {
      clear += line.substr(copied, word + 1 - copied);
      copied = word + 1;
      continue;
    }
    clear += line.substr(copied, value - copied);
    clear += kInstead;
    copied = ValueEnd(line, value);
  }
  clear += line.substr(copied);
  return clear;
}

size_t IndentOf(std::string_view line) { return std::min(line.find_first_not_of(" \t"), line.size()); }

// A key of YAML that names a secret, whose value is the lines below it.
bool OpensSecretBlock(std::string_view line) {
  const std::string lower = absl::AsciiStrToLower(absl::string_view(line.data(), line.size()));
  const size_t colon = lower.find(':');
  if (colon == std::string::npos || lower.find_first_not_of(" \t\n|>+-", colon + 1) != std::string::npos) return false;
  return std::any_of(kSecretWords.begin(), kSecretWords.end(), [&](std::string_view word) {
    return absl::string_view(lower).substr(0, colon).find(absl::string_view(word.data(), word.size())) !=
           absl::string_view::npos;
  });
}

// The user and password of URLs.
std::string WithoutLogins(std::string_view line) {
  std::string clear;
  size_t copied = 0;
  while (true) {
    const size_t scheme = line.find("://", copied);
    if (scheme == std::string_view::npos) break;
    const size_t begin = scheme + 3;
    const size_t end = std::min(line.find_first_of("/ \t\n\"'", begin), line.size());
    const size_t at = line.substr(begin, end - begin).rfind('@');
    clear += line.substr(copied, begin - copied);
    if (at != std::string_view::npos) clear += kInstead;
    copied = at == std::string_view::npos ? begin : begin + at;
  }
  clear += line.substr(copied);
  return clear;
}

}  // namespace

std::string Redacted(std::string_view text) {
  std::string clear;
  bool in_key = false;
  std::optional<size_t> block;  // how far the key above is indented, all of whose value goes
  while (!text.empty()) {
    const size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, size);
    text.remove_prefix(size);
    if (block && (IndentOf(line) > *block || line == "\n")) continue;
    block.reset();
    const bool ends = line.find("-----END ") != std::string_view::npos;
    if (!in_key && line.find("PRIVATE KEY-----") != std::string_view::npos && !ends) {
      in_key = true;
      clear += "<a private key was here>\n";
    }
    if (!in_key) {
      clear += WithoutLogins(WithoutSecretValues(line));
      if (OpensSecretBlock(line)) block = IndentOf(line);
    }
    if (ends) in_key = false;
  }
  return clear;
}

}  // namespace flocker
