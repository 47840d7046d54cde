// The two tables: nodes and datasets, as Flocker's flockerctl showed them.
#pragma once

#include <string>
#include <vector>

#include "engine/rpc/flocker.pb.h"

namespace flocker {

struct ListingOptions {
  bool long_ids = false;  // node ids whole instead of their first 8 characters
  bool deleted = false;   // datasets in the trash too
  bool live = true;       // those that are not
  bool symbols = false;   // ✅ and ⌛; only for a terminal that can show them
  bool colour = false;
};

// The datasets that the options choose, by name.
std::vector<rpc::DatasetView> Listed(const rpc::ViewReply& view, const ListingOptions& options);

// SERVER ADDRESS and, beyond Flocker's two columns, NAME STATE.
std::string FormatNodes(const rpc::ViewReply& view, const ListingOptions& options);

// DATASET SIZE METADATA STATUS SERVER. SERVER is where the dataset is wanted, which during a move is not yet where it
// is. The trash alone has a column USED more.
std::string FormatDatasets(const rpc::ViewReply& view, const ListingOptions& options);

// The STATUS cell: attached, pending, deleting, deleted as Flocker's; the phase's own word for what Flocker had no
// word for.
std::string StatusText(const rpc::DatasetView& dataset, bool symbols);

}  // namespace flocker
