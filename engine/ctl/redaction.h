// Takes secrets out of text that leaves the house.
#pragma once

#include <string>
#include <string_view>

namespace flocker {

// The text without the values of keys that name a secret (secret, password, token, access_key, credentials, … in YAML,
// JSON, key=value), without PEM private keys, and without the user:password of URLs. In doubt more goes than must.
std::string Redacted(std::string_view text);

}  // namespace flocker
