#include "fusefs/worker_pool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

namespace flocker {
namespace {

TEST(WorkerPool, GrowsWithWorkThatBlocksAndNoFurther) {
  WorkerThreads threads;
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  {
    WorkerPool pool(threads, 4, absl::Seconds(10));
    std::latch full(4);
    std::latch go(1);
    std::latch done(20);
    for (int i = 0; i < 20; ++i) {
      pool.Submit([&, i] {
        const int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        if (i < 4) full.count_down();
        go.wait();
        --running;
        done.count_down();
      });
    }
    full.wait();  // four at once, all blocked
    go.count_down();
    done.wait();
  }
  EXPECT_EQ(most, 4);
  EXPECT_TRUE(threads.WaitUntilNone(absl::Seconds(10)));
}

TEST(WorkerPool, FinishesWhatWasSubmittedBeforeItEnded) {
  WorkerThreads threads;
  std::atomic<int> done = 0;
  {
    WorkerPool pool(threads, 1, absl::Seconds(10));
    for (int i = 0; i < 100; ++i) pool.Submit([&] { ++done; });
  }
  EXPECT_TRUE(threads.WaitUntilNone(absl::Seconds(10)));
  EXPECT_EQ(done, 100);
}

TEST(WorkerPool, IdleThreadsEnd) {
  WorkerThreads threads;
  WorkerPool pool(threads, 4, absl::Milliseconds(10));
  pool.Submit([] {});
  EXPECT_TRUE(threads.WaitUntilNone(absl::Seconds(10)));
  std::latch again(1);
  pool.Submit([&] { again.count_down(); });
  again.wait();
}

TEST(WorkerPool, MayEndInOneOfItsOwnTasks) {
  WorkerThreads threads;
  auto pool = std::make_unique<WorkerPool>(threads, 2, absl::Seconds(10));
  WorkerPool& last = *pool;
  last.Submit([owned = std::move(pool)]() mutable { owned.reset(); });
  EXPECT_TRUE(threads.WaitUntilNone(absl::Seconds(10)));
}

TEST(WorkerPool, ThreadsHaveAUmaskOfTheirOwn) {
  WorkerThreads threads;
  WorkerPool pool(threads, 1, absl::Seconds(10));
  const mode_t ours = umask(022);
  std::latch done(1);
  pool.Submit([&] {
    umask(0777);
    done.count_down();
  });
  done.wait();
  EXPECT_EQ(umask(ours), static_cast<mode_t>(022));
}

TEST(WorkerPool, ATaskIsKeptForItsThreadAndTheNextIsNot) {
  WorkerThreads threads;
  WorkerPool pool(threads, 4, absl::Seconds(10));
  std::thread::id first;
  std::thread::id second;
  std::latch done(1);
  WorkerPool::Kept kept;
  EXPECT_FALSE(kept.any());
  pool.Submit([&] { first = std::this_thread::get_id(); });
  pool.Submit([&] {
    second = std::this_thread::get_id();
    done.count_down();
  });
  ASSERT_TRUE(kept.any());
  done.wait();
  EXPECT_EQ(first, std::thread::id());
  kept.Run();
  EXPECT_FALSE(kept.any());
  EXPECT_EQ(first, std::this_thread::get_id());
  EXPECT_NE(second, first);
}

TEST(WorkerPool, WhatATaskOfTheKeepersSubmitsIsForOthers) {
  WorkerThreads threads;
  WorkerPool pool(threads, 4, absl::Seconds(10));
  std::latch done(1);
  WorkerPool::Kept kept;
  pool.Submit([&] {
    pool.Submit([&] { done.count_down(); });
    done.wait();
  });
  kept.Run();
}

TEST(WorkerPool, WhatIsKeptAndNotDoneGoesToTheOthersAfterAll) {
  WorkerThreads threads;
  std::atomic<int> done = 0;
  {
    const WorkerPool::Kept kept;
    WorkerPool pool(threads, 1, absl::Seconds(10));
    pool.Submit([&] { ++done; });
    ASSERT_TRUE(kept.any());
    EXPECT_FALSE(threads.WaitUntilNone(absl::ZeroDuration())) << "it is not waited for";
  }  // the pool is gone before it is submitted
  EXPECT_TRUE(threads.WaitUntilNone(absl::Seconds(10)));
  EXPECT_EQ(done, 1);
}

TEST(WorkerPool, OnlyOneThreadKeepsATaskOfAPool) {
  WorkerThreads threads;
  WorkerPool pool(threads, 4, absl::Seconds(10));
  std::latch done(1);
  {
    WorkerPool::Kept kept;
    pool.Submit([] {});
    ASSERT_TRUE(kept.any());
    std::thread other([&] {
      const WorkerPool::Kept none;
      pool.Submit([&] { done.count_down(); });
      EXPECT_FALSE(none.any());
    });
    other.join();
    done.wait();
    kept.Run();
  }
  WorkerPool::Kept again;
  pool.Submit([] {});
  EXPECT_TRUE(again.any());
}

TEST(WorkerPool, NothingIsKeptOfAPoolThatIsStuck) {
  WorkerThreads threads;
  WorkerPool pool(threads, 1, absl::Seconds(10));
  std::latch stuck(1);
  std::latch go(1);
  std::latch done(1);
  pool.Submit([&] {
    stuck.count_down();
    go.wait();
  });
  stuck.wait();
  const WorkerPool::Kept kept;
  pool.Submit([&] { done.count_down(); });
  EXPECT_FALSE(kept.any());
  go.count_down();
  done.wait();
}

}  // namespace
}  // namespace flocker
