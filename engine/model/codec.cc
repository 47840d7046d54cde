#include "engine/model/codec.h"

#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/model/codec_table.h"

namespace flocker {
namespace {

using nlohmann::json;

constexpr char kVersionKey[] = "version";

bool IsUtf8(const std::string& text) {
  try {
    std::ignore = json(text).dump();
    return true;
  } catch (const json::type_error&) {
    return false;
  }
}

class Writer {
 public:
  explicit Writer(Secrets secrets) : secrets_(secrets) {}

  template <class T>
  void operator()(const char* key, const T& value) {
    object_[key] = Encode(value);
  }
  void Since(int /*version*/, const char* key, const auto& value) { (*this)(key, value); }
  void Secret(const char* key, const std::string& value) {
    (*this)(key, secrets_ == Secrets::kKeep ? value : std::string());
  }

  template <class Record>
  static std::string Document(const Record& record, Secrets secrets) {
    json object = Object(record, secrets);
    object[kVersionKey] = kRecordVersion;
    return object.dump();
  }

 private:
  json Encode(bool value) { return value; }
  json Encode(std::integral auto value) { return value; }
  json Encode(Phase value) { return PhaseName(value); }
  json Encode(const std::string& value) {
    if (IsUtf8(value)) return value;
    return json{{"base64", absl::Base64Escape(value)}};
  }
  template <class Tag>
  json Encode(const Uuid<Tag>& value) {
    return value.str();
  }
  template <class T>
  json Encode(const std::optional<T>& value) {
    return value ? Encode(*value) : json(nullptr);
  }
  template <class T>
  json Encode(const std::vector<T>& values) {
    json array = json::array();
    for (const T& value : values) array.push_back(Encode(value));
    return array;
  }
  // A list of pairs, because a key of the map need not be UTF-8 either.
  json Encode(const std::map<std::string, std::string>& values) {
    json array = json::array();
    for (const auto& [key, value] : values) array.push_back(json::array({Encode(key), Encode(value)}));
    return array;
  }
  template <class Record>
  requires std::is_class_v<Record> json Encode(const Record& record) { return Object(record, secrets_); }

  template <class Record>
  static json Object(const Record& record, Secrets secrets) {
    Writer writer(secrets);
    codec::Fields(writer, record);
    return std::move(writer.object_);
  }

  const Secrets secrets_;
  json object_ = json::object();
};

// Keeps the first thing that is wrong; what was read up to then is thrown away by the caller.
class Reader {
 public:
  template <class T>
  void operator()(const char* key, T& out) {
    if (!status_.ok()) return;
    const std::string outer = std::exchange(path_, path_.empty() ? key : absl::StrCat(path_, ".", key));
    const auto found = object_->find(key);
    if (found == object_->end()) {
      Fail("is missing");
    } else {
      Decode(*found, out);
    }
    ++seen_;
    path_ = outer;
  }
  void Since(int version, const char* key, auto& out) {
    if (version_ >= version) (*this)(key, out);
  }
  void Secret(const char* key, std::string& out) { (*this)(key, out); }

  template <class Record>
  static absl::StatusOr<Record> Document(std::string_view text) {
    const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!document.is_object()) return absl::InvalidArgumentError("the record is not a JSON object");
    Record record;
    Reader reader;
    reader.CheckVersion(document);
    reader.DecodeFields(document, record, /*others=*/1);
    if (!reader.status_.ok()) return reader.status_;
    return record;
  }

 private:
  void CheckVersion(const json& document) {
    const auto version = document.find(kVersionKey);
    if (version != document.end()) Decode(*version, version_);
    if (!status_.ok() || version_ < kOldestRecord || version_ > kRecordVersion) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("the record's '", kVersionKey, "' is ", version == document.end() ? "missing" : version->dump(),
                       "; this program reads versions ", kOldestRecord, " to ", kRecordVersion));
    }
  }

  // The keys of the table and `others` must be all that `value` has.
  template <class Record>
  void DecodeFields(const json& value, Record& out, size_t others) {
    const json* outer = std::exchange(object_, &value);
    const size_t outer_seen = std::exchange(seen_, 0);
    codec::Fields(*this, out);
    if (value.size() != seen_ + others) Fail("has a key that this program does not know");
    object_ = outer;
    seen_ = outer_seen;
  }

  void Decode(const json& value, bool& out) {
    if (!value.is_boolean()) return Fail("is not true or false");
    out = value.get<bool>();
  }
  void Decode(const json& value, std::unsigned_integral auto& out) {
    using T = std::remove_reference_t<decltype(out)>;
    if (!value.is_number_unsigned() || !std::in_range<T>(value.get<uint64_t>()))
      return Fail("is not a number in range");
    out = static_cast<T>(value.get<uint64_t>());
  }
  void Decode(const json& value, int64_t& out) {
    if (!value.is_number_integer() || (value.is_number_unsigned() && !std::in_range<int64_t>(value.get<uint64_t>()))) {
      return Fail("is not a number in range");
    }
    out = value.get<int64_t>();
  }
  void Decode(const json& value, Phase& out) {
    std::string name;
    Decode(value, name);
    const auto phase = PhaseFromName(name);
    if (!phase) return Fail("is not a phase");
    out = *phase;
  }
  void Decode(const json& value, std::string& out) {
    if (value.is_string()) {
      out = value.get<std::string>();
      return;
    }
    const bool encoded = value.is_object() && value.size() == 1 && value.contains("base64") &&
                         value["base64"].is_string() && absl::Base64Unescape(value["base64"].get<std::string>(), &out);
    if (!encoded) Fail("is not a string");
  }
  template <class Tag>
  void Decode(const json& value, Uuid<Tag>& out) {
    std::string text;
    Decode(value, text);
    const auto uuid = text.empty() ? Uuid<Tag>() : Uuid<Tag>::Parse(text);
    if (!uuid) return Fail("is not a UUID");
    out = *uuid;
  }
  template <class T>
  void Decode(const json& value, std::optional<T>& out) {
    if (value.is_null()) {
      out.reset();
    } else {
      Decode(value, out.emplace());
    }
  }
  template <class T>
  void Decode(const json& value, std::vector<T>& out) {
    if (!value.is_array()) return Fail("is not a list");
    out.clear();
    for (const json& element : value) {
      Decode(element, out.emplace_back());
    }
  }
  void Decode(const json& value, std::map<std::string, std::string>& out) {
    if (!value.is_array()) return Fail("is not a list of pairs");
    out.clear();
    for (const json& pair : value) {
      if (!pair.is_array() || pair.size() != 2) return Fail("is not a list of pairs");
      std::string key;
      Decode(pair[0], key);
      if (out.contains(key)) return Fail("has a key twice");
      Decode(pair[1], out[key]);
    }
  }
  template <class Record>
  requires std::is_class_v<Record>
  void Decode(const json& value, Record& out) {
    if (!value.is_object()) return Fail("is not an object");
    DecodeFields(value, out, /*others=*/0);
  }

  void Fail(std::string_view what) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(absl::StrCat("the record's '", path_, "' ", std::string(what)));
  }

  const json* object_ = nullptr;
  int64_t version_ = 0;
  size_t seen_ = 0;  // keys of *object_ that the table asked for
  std::string path_;
  absl::Status status_;
};

}  // namespace

std::string ToJson(const Dataset& dataset, Secrets secrets) { return Writer::Document(dataset, secrets); }
std::string ToJson(const Node& node) { return Writer::Document(node, Secrets::kKeep); }
std::string ToJson(const Event& event) { return Writer::Document(event, Secrets::kKeep); }
std::string ToJson(const Lease& lease) { return Writer::Document(lease, Secrets::kKeep); }
std::string ToJson(const Wish& wish) { return Writer::Document(wish, Secrets::kKeep); }

absl::StatusOr<Dataset> DatasetFromJson(std::string_view text) { return Reader::Document<Dataset>(text); }
absl::StatusOr<Node> NodeFromJson(std::string_view text) { return Reader::Document<Node>(text); }
absl::StatusOr<Event> EventFromJson(std::string_view text) { return Reader::Document<Event>(text); }
absl::StatusOr<Lease> LeaseFromJson(std::string_view text) { return Reader::Document<Lease>(text); }
absl::StatusOr<Wish> WishFromJson(std::string_view text) { return Reader::Document<Wish>(text); }

}  // namespace flocker
