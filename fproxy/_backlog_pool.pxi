# What waits for all clients of one server, and who of them has to go; a part of _socket_writer.pyx.

cdef extern from "backlog.hpp" namespace "fproxy" nogil:
    cdef cppclass CppBacklog "fproxy::Backlog":
        CppBacklog(CppBacklogPool &pool, void *owner) except +core_error
        void *owner() const
        void exempt(bool_t exempt)
        bint empty() const
        size_t bytes() const
        int64_t since() const
        void keep(SharedFrames &frames, size_t sent, int64_t now) except +core_error
        size_t gather(iovec *vectors, size_t most_vectors, size_t most_bytes) const
        void consume(size_t sent)
        void cut(int64_t now)
        void renew(int64_t now)
        void clear()

    cdef cppclass EvictionOrder "fproxy::EvictionOrder<fproxy::Backlog>":
        CppBacklog *oldest()

    cdef cppclass SharedBlocks:
        size_t spare_bytes() const
        void give_back(size_t blocks)
        void look_at_use()
        bool_t tidy()

    cdef cppclass CppBacklogPool "fproxy::BacklogPool":
        SharedBlocks blocks
        EvictionOrder order
        size_t held_bytes
        size_t waiting_bytes
        size_t lagging
        size_t bytes() const


cdef enum:
    MOST_TOLD = 16  # a turn of the loop: about a millisecond's work
    FULL_BLOCK = 64 * 1024


cdef class BacklogPool:
    cdef CppBacklogPool *_pool
    cdef ScannedFrames *_scanned
    cdef readonly size_t max_bytes
    cdef readonly uint64_t dropped_events
    cdef readonly uint64_t replaced_events
    cdef bint _evicting
    # Writers that were too slow, with the reason, whose owners are to be told in the next turns of the loop.
    cdef object _untold
    cdef int _told  # how many were in this one

    def __cinit__(self, *, size_t max_bytes):
        self._untold = deque()
        self._pool = new CppBacklogPool()
        self._scanned = new ScannedFrames()
        self.max_bytes = max_bytes

    def __dealloc__(self):
        del self._pool
        del self._scanned

    @property
    def bytes(self):
        return self._pool.bytes()

    @property
    def waiting_bytes(self):
        return self._pool.waiting_bytes

    @property
    def lagging(self):
        return self._pool.lagging

    @property
    def lag(self):
        cdef CppBacklog *oldest = self._pool.order.oldest()
        return 0.0 if oldest == NULL else max(0, coarse_monotonic_ms() - oldest.since()) / 1000

    @property
    def spare_bytes(self):
        return self._pool.blocks.spare_bytes()

    def look_at_use(self):
        self._pool.blocks.look_at_use()

    def tidy(self):
        return self._pool.blocks.tidy()

    def evict_lagging(self, double max_lag):
        if max_lag < 0:
            raise ValueError(f"nothing can have waited for {max_lag} s")
        cdef int64_t latest = coarse_monotonic_ms() - <int64_t>(max_lag * 1000)
        cdef CppBacklog *oldest
        self._evicting = True
        try:
            while True:
                oldest = self._pool.order.oldest()
                if oldest == NULL or oldest.since() >= latest:
                    return
                (<SocketWriter>oldest.owner()).lag_too_far("lag")
        finally:
            self._evicting = False

    # Tell the owner of a writer that was too slow; in a later turn of the loop when many were at once.
    cdef tell(self, SocketWriter writer, str reason):
        if self._told == MOST_TOLD:
            writer.give_up()
            self._untold.append((writer, reason))
            return
        if self._told == 0:
            writer._loop.call_soon(self._tell_more, writer._loop)
        self._told += 1
        writer.tell(reason)

    def _tell_more(self, loop):
        self._told = 0
        while self._untold and self._told < MOST_TOLD:
            self._told += 1
            writer, reason = self._untold.popleft()
            (<SocketWriter>writer).tell(reason)
        if self._told:
            loop.call_soon(self._tell_more, loop)

    # To be called when something was kept.
    cdef void keep_to_limit(self) noexcept:
        cdef CppBacklog *oldest
        cdef size_t taken = self._pool.bytes() + self._pool.blocks.spare_bytes()
        if taken <= self.max_bytes or self._evicting:
            return
        self._pool.blocks.give_back((taken - self.max_bytes) // FULL_BLOCK + 1)
        self._evicting = True
        while self._pool.bytes() > self.max_bytes:
            oldest = self._pool.order.oldest()
            if oldest == NULL:
                break
            (<SocketWriter>oldest.owner()).lag_too_far("memory")
        self._evicting = False
