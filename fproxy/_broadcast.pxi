# A stream that everybody gets whole; a part of _fastpath.pyx.

cdef extern from "broadcast.hpp" namespace "fproxy" nogil:
    cdef cppclass CppBroadcast "fproxy::Broadcast":
        CppBroadcast(size_t max_payload) except +core_error
        bool_t feed(
            const char *begin, const char *end, vector[pair[const char *, const char *]] &statuses,
            CppHistory *history, int64_t now
        ) except +core_error
        void repeat(const char *begin, const char *end) except +core_error
        const ScanFailure &failure() const
        uint64_t events_in() const
        uint64_t data_messages() const
        size_t pending_bytes() const
        const LastEvent &last_event() const
        pair[const char *, size_t] finish() except +core_error
        void written()
        size_t finished_events()


# A broadcast that has more waiting is written before more is fed.
cdef size_t MAX_PENDING_BYTES = 256 * 1024


cdef class Broadcast(MessageSink):
    cdef CppBroadcast *_broadcast
    cdef dict _sinks
    cdef Frames _frames
    cdef History _history

    def __cinit__(self, *, size_t max_message=DEFAULT_MAX_BROADCAST, History history=None):
        if max_message < 2:
            raise ValueError(f"max_message must be at least 2 bytes, not {max_message}")
        self._history = history
        self._broadcast = new CppBroadcast(max_message)
        self._sinks = {}
        self._frames = Frames()

    def __dealloc__(self):
        del self._broadcast

    def add_client(self, object sink not None):
        self.flush()
        self._sinks[sink] = None

    def remove_client(self, object sink not None):
        self.flush()
        del self._sinks[sink]

    def feed(self, object payload):
        return self(payload)

    cdef object take_message(self, const char *begin, Py_ssize_t size):
        cdef vector[pair[const char *, const char *]] statuses
        cdef bint sound
        cdef CppHistory *history = NULL
        cdef int64_t now = 0
        self._frames.check_idle()
        if self._history is not None:
            history = self._history._history
            now = unix_ms()
        sound = self._broadcast.feed(begin, begin + size, statuses, history, now)
        if not sound:
            raise frame_error(begin, size, self._broadcast.failure())
        if self._broadcast.pending_bytes() > MAX_PENDING_BYTES:
            self.flush()
        return status_events(statuses)

    def publish(self, bytes payload not None):
        cdef const char *begin = PyBytes_AS_STRING(payload)
        self._frames.check_idle()
        self._broadcast.repeat(begin, begin + PyBytes_GET_SIZE(payload))

    def replay(self, History history not None, uint64_t start, uint64_t stop, *, size_t max_bytes):
        cdef HistoryMessage message
        cdef size_t spent = 0
        cdef uint64_t number = max(start, history._history.first())
        self._frames.check_idle()
        stop = min(stop, history._history.next())
        while number < stop and spent < max_bytes:
            message = history._history[0][number]
            self._broadcast.repeat(message.begin, message.end)
            spent += message.end - message.begin
            number += 1
        self.flush()
        return number

    def flush(self):
        cdef Frames frames = self._frames
        cdef pair[const char *, size_t] ready
        frames.check_idle()
        ready = self._broadcast.finish()
        if ready.second == 0:
            return
        frames.start(ready, self._broadcast.finished_events(), len(self._sinks) == 1)
        try:
            for sink in self._sinks:
                frames.write_to(sink)
        finally:
            frames.finish()
            self._broadcast.written()

    def last_event(self):
        return last_event_bytes(self._broadcast.last_event())

    @property
    def deliveries(self):
        return self._frames.deliveries

    @property
    def sent_bytes(self):
        return self._frames.sent_bytes

    @property
    def events_in(self):
        return self._broadcast.events_in()

    @property
    def data_messages(self):
        return self._broadcast.data_messages()
