// The agent that ran here before, when it was killed and cannot end.
#pragma once

#include <string>

namespace flocker {

// A killed agent does not end while a thread of it waits in the kernel for a LUN's file whose flocker-lun was killed as
// well: only the close of the last /dev/fuse descriptor would end that wait, and it is the agent's own. If the holder
// of `root`'s lock is being killed, this aborts the connections of its LUN files that nobody serves any more: their I/O
// is lost either way. True when there was such a holder, so that the lock is worth another try. Never waits for a
// device.
bool HelpToEnd(const std::string& root);

}  // namespace flocker
