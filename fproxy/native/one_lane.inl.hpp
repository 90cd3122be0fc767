// The masks of a block with a single lane, written once for every such block: compact_scan.hpp includes this file inside
// their classes. See avx2::Block for what each does.

FPROXY_INLINE static Mask all() { return ~Mask{0}; }
FPROXY_INLINE static Mask each(uint64_t lane) { return lane; }
FPROXY_INLINE static Mask lane_0(uint64_t lane) { return lane; }
FPROXY_INLINE static Mask first(size_t count) { return count >= 64 ? all() : (Mask{1} << count) - 1; }
FPROXY_INLINE static bool any(Mask mask) { return mask != 0; }
FPROXY_INLINE static bool any_full(Mask mask) { return mask == all(); }
FPROXY_INLINE static void store(Mask mask, uint64_t *lanes) { *lanes = mask; }

FPROXY_INLINE static Mask parity(Mask mask, uint64_t &before) {
    for (int shift = 1; shift < 64; shift *= 2) mask ^= mask << shift;
    mask ^= before;
    before = uint64_t{0} - (mask >> 62 & 1);
    return mask;
}

FPROXY_INLINE static Mask from_lane_before(Mask mask, uint64_t &carried) {
    const uint64_t moved = carried;
    carried = mask;
    return moved;
}
