#include "engine/store/rocksdb_log.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"

namespace flocker {
namespace {

constexpr size_t kMaxCollected = 4096;

}  // namespace

void RocksdbLog::Logv(const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  if (std::vsnprintf(line.data(), line.size(), format, arguments) < 0) return;
  const MutexLock lock(mutex_);
  if (!collecting_) {
    spdlog::warn("rocksdb: {}", line.data());
  } else if (collected_.size() < kMaxCollected) {
    absl::StrAppend(&collected_, collected_.empty() ? "" : "; ", line.data());
  }
}

std::string RocksdbLog::Collected() {
  const MutexLock lock(mutex_);
  return collected_;
}

void RocksdbLog::StopCollecting() {
  const MutexLock lock(mutex_);
  collecting_ = false;
  if (!collected_.empty()) spdlog::warn("rocksdb: {}", std::exchange(collected_, {}));
}

}  // namespace flocker
