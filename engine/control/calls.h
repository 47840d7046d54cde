// Operations of clients that wait for their answer, by the number that the controller hands back with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "engine/base/mutex.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

class Calls {
 public:
  using Answer = std::function<void(const rpc::OperationReply&)>;

  // Any thread. `answer` is called once, on the controller's thread.
  uint64_t Add(Answer answer) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    waiting_[++last_] = std::move(answer);
    return last_;
  }

  void Reply(uint64_t call, const rpc::OperationReply& reply) EXCLUDES(mutex_) {
    Answer answer;
    {
      const MutexLock lock(mutex_);
      const auto it = waiting_.find(call);
      if (it == waiting_.end()) return;
      answer = std::move(it->second);
      waiting_.erase(it);
    }
    answer(reply);
  }

 private:
  Mutex mutex_;
  std::map<uint64_t, Answer> waiting_ GUARDED_BY(mutex_);
  uint64_t last_ GUARDED_BY(mutex_) = 0;
};

}  // namespace flocker
