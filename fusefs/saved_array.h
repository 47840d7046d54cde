// Records of one size in memory that a successor inherits.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace flocker {

// A record begins with its key, a uint64_t; 0: it is free. The key is written last and cleared first, so whoever finds
// the records after this process was killed at any instruction sees whole ones only.
//
// Not thread-safe. A record has one owner, who may change it (each change must be a single store, or leave the record
// whole at every instruction).
template <class T>
class SavedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_same_v<decltype(T::key), uint64_t>);

 public:
  // `used` counts how many records from `base` on were ever in use; it lives beside them.
  SavedArray(T* base, uint64_t capacity, uint64_t* used) : base_(base), capacity_(capacity), used_(used) {
    for (uint64_t i = *used_; i > 0; --i) {
      if (base_[i - 1].key == 0) free_.push_back(&base_[i - 1]);
    }
  }
  SavedArray(const SavedArray&) = delete;
  SavedArray& operator=(const SavedArray&) = delete;

  // Saves a copy; null when there is no room.
  T* Add(const T& record) {
    T* place = nullptr;
    if (!free_.empty()) {
      place = free_.back();
      free_.pop_back();
    } else if (*used_ < capacity_) {
      place = base_ + *used_;
      std::atomic_ref<uint64_t>(*used_).store(*used_ + 1, std::memory_order_release);
    } else {
      return nullptr;
    }
    T whole = record;
    whole.key = 0;
    std::memcpy(static_cast<void*>(place), &whole, sizeof whole);
    std::atomic_ref<uint64_t>(place->key).store(record.key, std::memory_order_release);
    return place;
  }
  void Remove(T* record) {
    std::atomic_ref<uint64_t>(record->key).store(0, std::memory_order_release);
    free_.push_back(record);
  }
  // All there are now.
  std::vector<T*> All() {
    std::vector<T*> all;
    for (uint64_t i = 0; i < *used_; ++i) {
      if (base_[i].key != 0) all.push_back(&base_[i]);
    }
    return all;
  }

 private:
  T* const base_;
  const uint64_t capacity_;
  uint64_t* const used_;
  std::vector<T*> free_;
};

}  // namespace flocker
