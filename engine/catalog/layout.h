// The bytes of a catalogue file. Everything is little-endian, aligned to 8, and read and written in whole 64-bit atomic
// words. README.md tells how the pieces work together.
//
//   0            Header: who wrote it, the present version, a ring of the last versions' Roots
//   kArenaStart  granules of 16 bytes, named by their number; 0 is the null reference. Blocks of one or more granules:
//                Cell (a tree's node), DatasetRecord or NodeRecord (each followed by its strings)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace flocker::catalog {

constexpr uint64_t kMagic = 0x31474C54434B4C46;  // "FLKCTLG1"
// Grows with every change of what is below. kMagic, layout and superseded keep their places in all layouts.
constexpr uint32_t kLayout = 2;

// Versions whose Roots are kept, so the longest that a reader can stay with one.
constexpr size_t kHistory = 1024;

using Bytes16 = std::array<uint8_t, 16>;  // a UUID; all zero stands for none

// The trees, and what each is ordered by. Keys are byte strings compared as such, so every question to a tree is "whose
// keys begin with".
enum class Order : uint32_t {
  kPlace,     // datasets by node, name, 0, id
  kId,        // datasets by id
  kSerial,    // mounted datasets by serial (big-endian), id
  kNodeName,  // nodes by name, 0, id
  kNodeId,    // nodes by id
};
constexpr size_t kOrders = 5;

// One version of the catalogue: the trees' topmost cells, how much is in them, and the pool's figures.
struct Root {
  uint64_t version;
  std::array<uint32_t, kOrders> trees;
  uint32_t datasets;
  uint32_t nodes;
  uint32_t zero;
  uint64_t pool_size;
  uint64_t pool_free;
  uint64_t pool_trash;

  uint32_t& tree(Order order) { return trees[static_cast<size_t>(order)]; }
  uint32_t tree(Order order) const { return trees[static_cast<size_t>(order)]; }

  // Whether it may be that version's, in an arena of that many granules. The counts bound every walk, so damaged ones
  // must not make a reader work or allocate without end.
  bool Plausible(uint64_t expected_version, size_t granules) const {
    return version == expected_version && datasets <= granules / 8 && nodes <= granules / 4;
  }
};

struct Header {
  uint64_t magic;
  uint32_t layout;
  uint32_t superseded;           // 1 when a newer generation is, or is about to be, at the path
  uint64_t file_size;            // bytes
  std::array<char, 40> boot_id;  // of the kernel under which it was written
  Bytes16 self;                  // the publishing node's id
  uint64_t version;              // the present one; its Root is roots[version % kHistory]
  uint64_t oldest;               // versions from here on are intact
  std::array<Root, kHistory> roots;
};

constexpr size_t kGranule = 16;
constexpr size_t kArenaStart = (sizeof(Header) + kGranule - 1) / kGranule * kGranule;

// A node of a treap: ordered by its item's key, a heap by priority.
struct Cell {
  uint32_t left;
  uint32_t right;
  uint32_t item;
  uint32_t priority;
};

struct DatasetRecord {  // name, error (each padded to 8) follow
  Bytes16 id;
  Bytes16 node;
  uint64_t size;
  uint64_t used;
  uint64_t epoch;
  uint64_t mount_epoch;
  int64_t created_ms;
  uint32_t serial;
  uint32_t root_uid;
  uint32_t root_gid;
  uint32_t root_mode;
  uint32_t phase;
  uint16_t name_size;
  uint16_t error_size;
};

struct NodeRecord {  // name follows
  Bytes16 id;
  uint32_t connected;
  uint32_t name_size;
};

static_assert(sizeof(Cell) == kGranule);
static_assert(sizeof(Root) == 64 && sizeof(DatasetRecord) == 96 && sizeof(NodeRecord) == 24);
static_assert(offsetof(Header, superseded) == 12 && offsetof(Header, version) % 8 == 0);
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) % 8 == 0);

static_assert(sizeof(DatasetRecord) > 5 * kGranule && sizeof(NodeRecord) > kGranule);  // and two cells: see Plausible

}  // namespace flocker::catalog
