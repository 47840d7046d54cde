// The inode numbers that the tree shows. flocker-fs makes them, and the agent's scan for holders recognizes a process's
// cwd, root or descriptor by them: both must agree, so both include this.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/model/ids.h"

namespace flocker {

// A file of an attachment. The serial is unique to the attachment (CatalogDataset::serial); ext4's own numbers have 32
// bits (its superblock's s_inodes_count), and a dataset's root directory is ext4's inode 2.
constexpr uint64_t FileInode(uint32_t serial, uint64_t ino) { return uint64_t{serial} << 32 | (ino & 0xffffffff); }
constexpr uint64_t kExt4RootInode = 2;

// The number of a file in its ext4, from the tree's.
constexpr uint64_t Ext4Inode(uint64_t inode) { return inode & 0xffffffff; }

// Everything that is not a file of an attachment: bit 63 set and a hash (FNV-1a, 64 bits) of what names it. Two
// equal ones would only confuse a tool that looks for hard links to directories, which cannot exist.
constexpr uint64_t TreeInode(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash | uint64_t{1} << 63;
}

constexpr bool IsTreeInode(uint64_t inode) { return inode >> 63 != 0; }

// The directory of a dataset that is not mounted on this machine. While it is, FileInode(serial, kExt4RootInode).
inline uint64_t RootInode(const DatasetId& id) { return TreeInode(id.str()); }
inline uint64_t NodeInode(const NodeId& id) { return TreeInode(id.str()); }

}  // namespace flocker
