#include "engine/catalog/record.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"

namespace flocker::catalog {
namespace {

constexpr size_t kMaxName = 128;
constexpr std::string_view kDashes = "\x08\x0d\x12\x17";  // where a UUID's text has them (RFC 4122 §3)

using NameBuffer = std::array<uint64_t, kMaxName / 8>;
using ErrorBuffer = std::array<uint64_t, kMaxCatalogError / 8>;

size_t Padded(size_t size) { return (size + 7) / 8 * 8; }
size_t ToGranules(size_t size) { return (size + kGranule - 1) / kGranule; }

template <class Id>
Id ToId(const Bytes16& bytes) {
  if (bytes == Bytes16{}) return Id();
  std::string text = absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  for (const char at : kDashes) text.insert(static_cast<size_t>(at), 1, '-');
  return *Id::Parse(text);
}

std::string_view LoadName(const Arena& arena, uint32_t at, const DatasetRecord& record, NameBuffer& buffer) {
  return arena.LoadString(at, sizeof(DatasetRecord), record.name_size, buffer);
}

std::string_view LoadName(const Arena& arena, uint32_t at, const NodeRecord& record, NameBuffer& buffer) {
  return arena.LoadString(at, sizeof(NodeRecord), record.name_size, buffer);
}

}  // namespace

Bytes16 ToBytes(std::string_view uuid) {
  Bytes16 bytes{};
  if (uuid.empty()) return bytes;
  const std::string raw = absl::HexStringToBytes(absl::StrReplaceAll({uuid.data(), uuid.size()}, {{"-", ""}}));
  std::copy(raw.begin(), raw.end(), bytes.begin());
  return bytes;
}

size_t GranulesOf(const CatalogDataset& dataset) {
  return ToGranules(sizeof(DatasetRecord) + Padded(dataset.name.size()) + Padded(dataset.error.size()));
}

size_t GranulesOf(const CatalogNode& node) { return ToGranules(sizeof(NodeRecord) + Padded(node.name.size())); }

std::vector<Order> OrdersOf(const CatalogDataset& dataset) {
  if (dataset.serial == 0) return {Order::kPlace, Order::kId};
  return {Order::kPlace, Order::kId, Order::kSerial};
}

std::vector<Order> OrdersOf(const CatalogNode& /*node*/) { return {Order::kNodeName, Order::kNodeId}; }

void Store(Arena& arena, uint32_t at, const CatalogDataset& dataset) {
  arena.Store(at, DatasetRecord{.id = ToBytes(dataset.id),
                                .node = ToBytes(dataset.node),
                                .size = dataset.size,
                                .used = dataset.used,
                                .epoch = dataset.epoch,
                                .mount_epoch = dataset.mount_epoch,
                                .created_ms = dataset.created_ms,
                                .serial = dataset.serial,
                                .root_uid = dataset.root_uid,
                                .root_gid = dataset.root_gid,
                                .root_mode = dataset.root_mode,
                                .phase = static_cast<uint32_t>(dataset.phase),
                                .name_size = static_cast<uint16_t>(dataset.name.size()),
                                .error_size = static_cast<uint16_t>(dataset.error.size())});
  arena.StoreString(at, sizeof(DatasetRecord), dataset.name);
  arena.StoreString(at, sizeof(DatasetRecord) + Padded(dataset.name.size()), dataset.error);
}

void Store(Arena& arena, uint32_t at, const CatalogNode& node) {
  arena.Store(at, NodeRecord{.id = ToBytes(node.id),
                             .connected = node.connected ? 1U : 0U,
                             .name_size = static_cast<uint32_t>(node.name.size())});
  arena.StoreString(at, sizeof(NodeRecord), node.name);
}

template <>
CatalogDataset Load(const Arena& arena, uint32_t at) {
  const auto record = arena.Load<DatasetRecord>(at);
  CatalogDataset dataset;
  if (record.phase > static_cast<uint32_t>(Phase::kPurging)) {
    arena.MarkDamaged();
    return dataset;
  }
  NameBuffer name;
  ErrorBuffer error;
  dataset.id = ToId<DatasetId>(record.id);
  dataset.name = LoadName(arena, at, record, name);
  dataset.node = ToId<NodeId>(record.node);
  dataset.size = record.size;
  dataset.used = record.used;
  dataset.phase = static_cast<Phase>(record.phase);
  dataset.epoch = record.epoch;
  dataset.mount_epoch = record.mount_epoch;
  dataset.serial = record.serial;
  dataset.root_uid = record.root_uid;
  dataset.root_gid = record.root_gid;
  dataset.root_mode = record.root_mode;
  dataset.created_ms = record.created_ms;
  dataset.error = arena.LoadString(at, sizeof(DatasetRecord) + Padded(record.name_size), record.error_size, error);
  return dataset;
}

template <>
CatalogNode Load(const Arena& arena, uint32_t at) {
  const auto record = arena.Load<NodeRecord>(at);
  NameBuffer name;
  return {ToId<NodeId>(record.id), std::string(LoadName(arena, at, record, name)), record.connected != 0};
}

Key& Key::Add(std::string_view bytes) {
  const size_t size = std::min(bytes.size(), bytes_.size() - size_);
  std::copy_n(bytes.data(), size, bytes_.data() + size_);
  size_ += size;
  return *this;
}

Key& Key::AddSerial(uint32_t serial) {
  const std::array<char, 4> bytes = {static_cast<char>(serial >> 24), static_cast<char>(serial >> 16),
                                     static_cast<char>(serial >> 8), static_cast<char>(serial)};
  return Add({bytes.data(), bytes.size()});
}

Key KeyOf(const Arena& arena, Order order, uint32_t item) {
  NameBuffer name;
  Key key;
  if (order == Order::kNodeName || order == Order::kNodeId) {
    const auto record = arena.Load<NodeRecord>(item);
    if (order == Order::kNodeName) key.AddName(LoadName(arena, item, record, name));
    return key.Add(record.id);
  }
  const auto record = arena.Load<DatasetRecord>(item);
  if (order == Order::kPlace) key.Add(record.node).AddName(LoadName(arena, item, record, name));
  if (order == Order::kSerial) key.AddSerial(record.serial);
  return key.Add(record.id);
}

}  // namespace flocker::catalog
