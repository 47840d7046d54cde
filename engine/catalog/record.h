// Datasets and nodes as blocks of the arena, and the keys under which trees hold them.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "engine/catalog/arena.h"
#include "engine/catalog/catalog.h"

namespace flocker::catalog {

Bytes16 ToBytes(std::string_view uuid);  // of a Uuid's text; none of an empty one
template <class Id>
Bytes16 ToBytes(const Id& id) {
  return ToBytes(std::string_view(id.str()));
}

size_t GranulesOf(const CatalogDataset& dataset);
size_t GranulesOf(const CatalogNode& node);

// The trees it is in.
std::vector<Order> OrdersOf(const CatalogDataset& dataset);
std::vector<Order> OrdersOf(const CatalogNode& node);

void Store(Arena& arena, uint32_t at, const CatalogDataset& dataset);
void Store(Arena& arena, uint32_t at, const CatalogNode& node);

// What cannot have been stored marks the arena damaged.
template <class Entry>
Entry Load(const Arena& arena, uint32_t at);
template <>
CatalogDataset Load(const Arena& arena, uint32_t at);
template <>
CatalogNode Load(const Arena& arena, uint32_t at);

// What a tree is searched by: the whole key of an item or the beginning of one (see Order).
class Key {
 public:
  Key() = default;
  Key& Add(const Bytes16& bytes) { return Add({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }
  Key& Add(std::string_view bytes);  // what does not fit is left out: no stored name is as long
  Key& AddName(std::string_view name) { return Add(name).Add(std::string_view("\0", 1)); }
  Key& AddSerial(uint32_t serial);
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, 168> bytes_;
  size_t size_ = 0;
};

Key KeyOf(const Arena& arena, Order order, uint32_t item);

}  // namespace flocker::catalog
