// The list of fault points has every step there is, so that the crash matrix tries it.
#include "engine/base/fault_points.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/model/attachment.h"
#include "engine/model/dataset.h"
#include "engine/model/planner.h"

namespace flocker {
namespace {

void ExpectListed(const std::string& name) {
  EXPECT_TRUE(IsFaultPoint(name)) << name << " has no row in engine/base/fault_points.h: which operation passes it?";
}

TEST(FaultPoints, HaveEveryPhase) {
  for (int i = 0; i <= static_cast<int>(Phase::kPurging); ++i) {
    // Nobody rests there while his node is connected: it is committed as what follows it.
    if (static_cast<Phase>(i) == Phase::kDetached) continue;
    ExpectListed(absl::StrCat("control.committed.", PhaseName(static_cast<Phase>(i)).data()));
  }
}

TEST(FaultPoints, HaveEveryAction) {
  for (int i = 0; i <= static_cast<int>(ActionKind::kAgentRelease); ++i) {
    const std::string action(ActionName(static_cast<ActionKind>(i)));
    if (!IsArrayAction(static_cast<ActionKind>(i))) {
      ExpectListed("control.ordered." + action);
      continue;
    }
    ExpectListed("control.before." + action);
    ExpectListed("control.after." + action);
  }
}

TEST(FaultPoints, HaveEveryLocalStep) {
  for (int i = static_cast<int>(LocalStep::kNone) + 1; i <= static_cast<int>(LocalStep::kDrop); ++i) {
    ExpectListed(absl::StrCat("agent.", LocalStepName(static_cast<LocalStep>(i)).data()));
  }
}

TEST(FaultPoints, AreRowsThatDiffer) {
  std::set<std::string> rows;
  for (const FaultPoint& point : kFaultPoints) {
    EXPECT_TRUE(rows.insert(absl::StrCat(point.operation.data(), " ", point.name.data())).second) << point.name;
  }
}

}  // namespace
}  // namespace flocker
