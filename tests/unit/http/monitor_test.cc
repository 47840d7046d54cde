#include "engine/http/monitor.h"

#include <gmock/gmock.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "engine/base/mutex.h"
#include "tests/harness/http_client.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpAnswer;
using testing::HttpClient;

TEST(Monitor, SaysThatItLivesWhetherItIsReadyAndItsFigures) {
  const auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter()
      .Name("flocker_things_total")
      .Help("Things")
      .Register(*registry)
      .Add({{"kind", "a"}})
      .Increment(7);
  Mutex mutex;
  std::vector<std::string> reasons = {"not \"connected\"", "no tree"};
  const auto monitor = Monitor::Serve("127.0.0.1:0", {registry}, [&] {
    const MutexLock lock(mutex);
    return reasons;
  });
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  HttpClient client((*monitor)->port());

  const HttpAnswer alive = client.Get("/healthz");
  EXPECT_EQ(alive.status, 200);
  EXPECT_EQ(alive.Json()["alive"], true);

  HttpAnswer ready = client.Get("/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.Json()["ready"], false);
  EXPECT_THAT(ready.Json()["reasons"], ElementsAre("not \"connected\"", "no tree"));
  {
    const MutexLock lock(mutex);
    reasons.clear();
  }
  ready = client.Get("/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.Json()["ready"], true);

  const HttpAnswer metrics = client.Get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.headers.at("content-type"), HasSubstr("text/plain"));
  EXPECT_THAT(metrics.body, HasSubstr("flocker_things_total{kind=\"a\"} 7"));

  EXPECT_EQ(client.Get("/").status, 404);
  EXPECT_EQ(client.Send("POST", "/healthz", "{}").status, 405);
}

}  // namespace
}  // namespace flocker
