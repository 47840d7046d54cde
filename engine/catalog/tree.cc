#include "engine/catalog/tree.h"

#include <array>
#include <utility>

namespace flocker::catalog {
namespace {

// Priorities are random: the depth of a million items is about 50, and 200 has no measurable probability.
constexpr size_t kMaxDepth = 200;

// The path to the next item of a walk: the cells whose items are still to come, the nearest on top.
class Path {
 public:
  explicit Path(const Arena& arena) : arena_(arena) {}

  void Push(const Cell& cell) {
    if (depth_ == cells_.size()) return arena_.MarkDamaged();
    cells_[depth_++] = cell;
  }
  bool empty() const { return depth_ == 0; }
  const Cell& Pop() { return cells_[--depth_]; }

 private:
  const Arena& arena_;
  std::array<Cell, kMaxDepth> cells_;
  size_t depth_ = 0;
};

uint32_t New(Heap& heap, const Cell& cell) {
  const uint32_t at = heap.Allocate(1);
  heap.arena().Store(at, cell);
  return at;
}

// `at` with new contents: in place when no published version has it.
uint32_t Put(Heap& heap, uint32_t at, const Cell& cell) {
  if (heap.IsFresh(at)) {
    heap.arena().Store(at, cell);
    return at;
  }
  heap.Retire(at, 1);
  return New(heap, cell);
}

// The items before and after `key`.
std::pair<uint32_t, uint32_t> Split(Heap& heap, Order order, uint32_t at, std::string_view key) {
  if (at == 0) return {0, 0};
  auto cell = heap.arena().Load<Cell>(at);
  if (KeyOf(heap.arena(), order, cell.item).view() < key) {
    const auto [before, after] = Split(heap, order, cell.right, key);
    cell.right = before;
    return {Put(heap, at, cell), after};
  }
  const auto [before, after] = Split(heap, order, cell.left, key);
  cell.left = after;
  return {before, Put(heap, at, cell)};
}

// Every item of `left` is before every one of `right`.
uint32_t Merge(Heap& heap, uint32_t left, uint32_t right) {
  if (left == 0) return right;
  if (right == 0) return left;
  auto first = heap.arena().Load<Cell>(left);
  auto second = heap.arena().Load<Cell>(right);
  if (first.priority > second.priority) {
    first.right = Merge(heap, first.right, right);
    return Put(heap, left, first);
  }
  second.left = Merge(heap, left, second.left);
  return Put(heap, right, second);
}

uint32_t InsertAt(Heap& heap, Order order, uint32_t at, std::string_view key, uint32_t item, uint32_t priority) {
  if (at == 0) return New(heap, {0, 0, item, priority});
  auto cell = heap.arena().Load<Cell>(at);
  if (priority > cell.priority) {
    const auto [before, after] = Split(heap, order, at, key);
    return New(heap, {before, after, item, priority});
  }
  uint32_t& side = KeyOf(heap.arena(), order, cell.item).view() < key ? cell.right : cell.left;
  side = InsertAt(heap, order, side, key, item, priority);
  return Put(heap, at, cell);
}

uint32_t EraseAt(Heap& heap, Order order, uint32_t at, std::string_view key, uint32_t item) {
  if (at == 0) {  // it was not there
    heap.arena().MarkDamaged();
    return 0;
  }
  auto cell = heap.arena().Load<Cell>(at);
  if (cell.item == item) {
    heap.Retire(at, 1);
    return Merge(heap, cell.left, cell.right);
  }
  uint32_t& side = KeyOf(heap.arena(), order, cell.item).view() < key ? cell.right : cell.left;
  side = EraseAt(heap, order, side, key, item);
  return Put(heap, at, cell);
}

}  // namespace

void Walk(const Arena& arena, Order order, uint32_t root, std::string_view prefix, size_t limit,
          absl::FunctionRef<bool(uint32_t item)> visit) {
  Path path(arena);
  uint32_t at = root;
  for (size_t depth = 0; at != 0 && !arena.damaged(); ++depth) {
    if (depth == kMaxDepth) return arena.MarkDamaged();
    const auto cell = arena.Load<Cell>(at);
    const bool before = KeyOf(arena, order, cell.item).view() < prefix;
    if (!before) path.Push(cell);
    at = before ? cell.right : cell.left;
  }
  for (size_t visited = 0; !path.empty() && !arena.damaged(); ++visited) {
    const Cell cell = path.Pop();
    if (KeyOf(arena, order, cell.item).view().substr(0, prefix.size()) != prefix) return;
    if (visited == limit) return arena.MarkDamaged();
    if (!visit(cell.item)) return;
    for (at = cell.right; at != 0 && !arena.damaged();) {
      const auto next = arena.Load<Cell>(at);
      path.Push(next);
      at = next.left;
    }
  }
}

uint32_t First(const Arena& arena, Order order, uint32_t root, std::string_view prefix) {
  uint32_t found = 0;
  Walk(arena, order, root, prefix, 1, [&](uint32_t item) {
    found = item;
    return false;
  });
  return found;
}

uint32_t Insert(Heap& heap, Order order, uint32_t root, uint32_t item) {
  const Key key = KeyOf(heap.arena(), order, item);
  return InsertAt(heap, order, root, key.view(), item, heap.Random());
}

uint32_t Erase(Heap& heap, Order order, uint32_t root, uint32_t item) {
  const Key key = KeyOf(heap.arena(), order, item);
  return EraseAt(heap, order, root, key.view(), item);
}

}  // namespace flocker::catalog
