// RocksDB's own warnings: into our log, and while the store opens into the error, because only they name a damaged
// file.
#pragma once

#include <rocksdb/env.h>

#include <string>

#include "engine/base/mutex.h"

namespace flocker {

class RocksdbLog final : public rocksdb::Logger {
 public:
  RocksdbLog() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override EXCLUDES(mutex_);

  // The warnings since construction, for the error of an opening that failed; after StopCollecting they are logged.
  std::string Collected() EXCLUDES(mutex_);
  void StopCollecting() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  bool collecting_ GUARDED_BY(mutex_) = true;
  std::string collected_ GUARDED_BY(mutex_);
};

}  // namespace flocker
