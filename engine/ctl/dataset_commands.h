// The commands about datasets.
#pragma once

#include "engine/ctl/context.h"

namespace flocker {

absl::Status ListDatasets(Context& context);
absl::Status ListTrash(Context& context);
absl::Status CreateDataset(Context& context);
absl::Status MoveDataset(Context& context);
absl::Status DestroyDataset(Context& context);
absl::Status RestoreDataset(Context& context);
absl::Status PurgeDataset(Context& context);
absl::Status GrowDataset(Context& context);

}  // namespace flocker
