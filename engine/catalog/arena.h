// The granules of a catalogue file, seen through bounds checks.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <string_view>

#include "engine/catalog/layout.h"

namespace flocker::catalog {

// A reference out of bounds reads as zeroes and marks the view damaged: zero is the null reference, so every walk ends
// by itself, and whoever made the view asks once, at the end.
//
// Words are loaded with acquire and stored with release. So whoever loads a word of a reused block also sees, later,
// the Header::oldest that was stored before the reuse. (On x86 both are plain moves. No fences: ThreadSanitizer does
// not know them.)
class Arena {
 public:
  Arena(uint64_t* words, size_t granules) : words_(words), granules_(granules) {}

  template <class T>
  T Load(uint32_t at) const {
    static_assert(sizeof(T) % 8 == 0);
    std::array<uint64_t, sizeof(T) / 8> words{};
    LoadWords(at, 0, words.data(), words.size());
    return std::bit_cast<T>(words);
  }

  // The `size` bytes at `offset` (a multiple of 8) of block `at`, into `buffer`, whose rest stays as it is.
  template <size_t N>
  std::string_view LoadString(uint32_t at, size_t offset, size_t size, std::array<uint64_t, N>& buffer) const {
    if (size > N * 8) {
      damaged_ = true;
      return {};
    }
    LoadWords(at, offset / 8, buffer.data(), (size + 7) / 8);
    return {reinterpret_cast<const char*>(buffer.data()), size};
  }

  template <class T>
  void Store(uint32_t at, const T& value) {
    StoreWords(at, 0, std::bit_cast<std::array<uint64_t, sizeof(T) / 8>>(value).data(), sizeof(T) / 8);
  }

  void StoreString(uint32_t at, size_t offset, std::string_view text) {
    for (size_t done = 0; done < text.size(); done += 8) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + done, std::min<size_t>(8, text.size() - done));
      StoreWords(at, (offset + done) / 8, &word, 1);
    }
  }

  size_t granules() const { return granules_; }
  bool damaged() const { return damaged_; }
  void MarkDamaged() const { damaged_ = true; }

 private:
  static constexpr size_t kWords = kGranule / 8;

  bool Inside(uint32_t at, size_t word, size_t count) const {
    if (at != 0 && at * kWords + word + count <= granules_ * kWords) return true;
    damaged_ = true;
    return false;
  }

  void LoadWords(uint32_t at, size_t word, uint64_t* to, size_t count) const {
    if (!Inside(at, word, count)) return;
    for (size_t i = 0; i < count; ++i) {
      to[i] = std::atomic_ref<uint64_t>(words_[at * kWords + word + i]).load(std::memory_order_acquire);
    }
  }

  void StoreWords(uint32_t at, size_t word, const uint64_t* from, size_t count) {
    if (!Inside(at, word, count)) return;
    for (size_t i = 0; i < count; ++i) {
      std::atomic_ref<uint64_t>(words_[at * kWords + word + i]).store(from[i], std::memory_order_release);
    }
  }

  uint64_t* words_;  // of a read-only mapping, when a reader made this: only ever stored to by the writer
  size_t granules_;
  mutable bool damaged_ = false;
};

}  // namespace flocker::catalog
